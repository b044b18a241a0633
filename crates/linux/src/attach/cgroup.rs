//! Programs on a cgroup: by link, or by `BPF_PROG_ATTACH` on kernels before 5.7.

use std::{fs::File, os::fd::AsRawFd};

use panal_uapi::{
    AttachType, Command, Errno,
    attr::ProgAttach,
    kernel::{Failure, Fd, Order},
};

use super::{number, ordered_link};
use crate::{
    sys::{bpf, failure},
    undo::{Step, Undo},
};

/// Others may be attached beside it, as with links.
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;

pub fn attach(
    prog: &Fd,
    attach_type: Option<AttachType>,
    path: &str,
    order: Order,
) -> Result<Fd, Failure> {
    let what = format!("cgroup {path}");
    let folder = File::open(path).map_err(|e| {
        let errno = Errno(e.raw_os_error().unwrap_or(libc::EIO));
        failure(Command::LinkCreate, errno, what.clone())
    })?;
    match ordered_link(prog, folder.as_raw_fd(), attach_type, order, &what) {
        Err(Failure {
            errno: Errno::EINVAL,
            command,
            detail,
        }) => {
            let by_link = Failure {
                errno: Errno::EINVAL,
                command,
                detail,
            };
            let old = order == Order::Appended;
            match old.then(|| without_link(prog, attach_type, folder, &what)) {
                Some(Ok(fd)) => Ok(fd),
                // The answer about links is the better one.
                Some(Err(_)) | None => Err(by_link),
            }
        }
        other => other,
    }
}

/// The old way, taken back when closed.
fn without_link(
    prog: &Fd,
    attach_type: Option<AttachType>,
    folder: File,
    what: &str,
) -> Result<Fd, Failure> {
    let mut attr = ProgAttach {
        target_fd: folder.as_raw_fd(),
        attach_bpf_fd: prog.number(),
        attach_type: number(attach_type),
        attach_flags: BPF_F_ALLOW_MULTI,
        ..ProgAttach::default()
    };
    // SAFETY: the attribute holds no addresses.
    unsafe { bpf(Command::ProgAttach, &mut attr.to_bytes()) }
        .map_err(|e| failure(Command::ProgAttach, e, what))?;
    attr.attach_flags = 0;
    Undo::hold(
        vec![Step::ProgDetach(attr.to_bytes())],
        None,
        &[folder.as_raw_fd(), prog.number()],
        vec![Box::new(folder), Box::new(prog.clone())],
    )
    .map_err(|e| failure(Command::ProgAttach, e, what))
}
