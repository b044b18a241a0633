//! Iterators: programs that write text about every object of a kind.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use panal_uapi::{
    AttachType, Command, Errno,
    attr::{IterCreate, LinkCreateIter},
    kernel::{Failure, Fd, IteratorOver},
};

use crate::{
    attach::create,
    sys::{bpf, failure, io_errno},
};

/// A program as an iterator over these objects.
pub fn attach(prog: &Fd, over: &IteratorOver) -> Result<Fd, Failure> {
    let word = |number: u32| number.to_ne_bytes();
    // `union bpf_iter_link_info`: a map's descriptor; order, descriptor and id of a cgroup;
    // number of a thread, number and descriptor of a process.
    let mut folder = None;
    let info: Vec<u8> = match over {
        IteratorOver::Everything => Vec::new(),
        IteratorOver::Map(fd) => word(*fd as u32).to_vec(),
        IteratorOver::Cgroup { path, order } => {
            let opened = File::open(path).map_err(|e| {
                failure(Command::LinkCreate, io_errno(&e), format!("cgroup {path}"))
            })?;
            let fd = opened.as_raw_fd() as u32;
            folder = Some(opened);
            [*order, fd, 0, 0].into_iter().flat_map(word).collect()
        }
        IteratorOver::Process(pid) => [0, *pid, 0].into_iter().flat_map(word).collect(),
    };
    let attr = LinkCreateIter {
        prog_fd: prog.number(),
        attach_type: AttachType::TraceIter.number(),
        iter_info: if info.is_empty() {
            0
        } else {
            info.as_ptr() as u64
        },
        iter_info_len: info.len() as u32,
        ..LinkCreateIter::default()
    };
    let link = create(&mut attr.to_bytes(), "an iterator").map_err(|mut error| {
        let why = match (error.errno, over) {
            (Errno::EBADF, IteratorOver::Everything) => "; this one goes through a map: name it",
            (Errno::EINVAL, IteratorOver::Everything) => "; this one needs to be told through what",
            (Errno::EINVAL, _) => "; this one does not go through what was named",
            _ => "",
        };
        error.detail.push_str(why);
        error
    });
    drop(folder);
    link
}

/// Hands what the iterator writes to `sink`.
pub fn read(link: &Fd, sink: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
    let wrong = |errno, detail| failure(Command::IterCreate, errno, detail);
    let attr = IterCreate {
        link_fd: link.number(),
        flags: 0,
    };
    // SAFETY: the attribute holds no addresses; the call returns a descriptor owned by nobody else.
    let mut file = unsafe {
        let number = bpf(Command::IterCreate, &mut attr.to_bytes()).map_err(|e| wrong(e, ""))?;
        File::from(OwnedFd::from_raw_fd(number))
    };
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => sink(&buffer[..len]),
            // The program asked to be called again for this object.
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(e) => return Err(wrong(io_errno(&e), "reading from the iterator")),
        }
    }
}
