//! Programs on sockets: filters, the choice within a group, and maps of sockets.

use std::{os::fd::RawFd, sync::Arc};

use panal_uapi::{
    AttachType, Command, Errno,
    attr::ProgAttach,
    kernel::{CloseFd, Failure, Fd},
};

use super::{link, number};
use crate::{
    foreign::SO_DETACH_REUSEPORT_BPF,
    sys::{self, bpf, last_errno},
};

/// A failed socket option.
pub fn failure(option: &'static str, errno: Errno, detail: impl Into<String>) -> Failure {
    Failure {
        command: option,
        errno,
        detail: detail.into(),
    }
}

/// Sets an option of the socket layer that is an int.
pub fn set(fd: RawFd, option: i32, value: i32) -> Result<(), Errno> {
    // SAFETY: the option's value is one int, as told.
    let r = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if r < 0 { Err(last_errno()) } else { Ok(()) }
}

/// A number that no other socket has had since boot.
fn cookie(fd: RawFd) -> Option<u64> {
    let mut cookie = 0u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the value and its length are variables of this function.
    let r = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    (r == 0).then_some(cookie)
}

/// `SO_ATTACH_BPF`; in place of a filter that is there.
pub fn filter(prog: &Fd, fd: RawFd) -> Result<Fd, Failure> {
    option(
        prog,
        fd,
        ("SO_ATTACH_BPF", libc::SO_ATTACH_BPF),
        libc::SO_DETACH_BPF,
    )
}

/// `SO_ATTACH_REUSEPORT_EBPF`; in place of a program that is there.
pub fn reuseport(prog: &Fd, fd: RawFd) -> Result<Fd, Failure> {
    option(
        prog,
        fd,
        ("SO_ATTACH_REUSEPORT_EBPF", libc::SO_ATTACH_REUSEPORT_EBPF),
        SO_DETACH_REUSEPORT_BPF,
    )
}

fn option(
    prog: &Fd,
    fd: RawFd,
    (name, attach): (&'static str, i32),
    detach: i32,
) -> Result<Fd, Failure> {
    let wrong = |errno| failure(name, errno, format!("on socket {fd}"));
    let cookie = cookie(fd).ok_or_else(|| wrong(last_errno()))?;
    set(fd, attach, prog.number()).map_err(wrong)?;
    Ok(Fd::new(fd, Arc::new(Detach { detach, cookie })))
}

/// Takes a program off a socket, if it still is the one that the number stands for.
struct Detach {
    detach: i32,
    cookie: u64,
}

impl CloseFd for Detach {
    fn close(&self, number: i32) {
        if cookie(number) == Some(self.cookie) {
            let _ = set(number, self.detach, 0);
        }
    }
}

/// The sockets of a map: by link, or on kernels before 6.10 by `BPF_PROG_ATTACH`, which holds until
/// the map is gone.
pub fn map(prog: &Fd, attach_type: Option<AttachType>, map: &Fd) -> Result<Fd, Failure> {
    const WHAT: &str = "the map of sockets";
    let by_link = match link(prog, map.number(), attach_type, 0, WHAT) {
        Err(failure) if failure.errno == Errno::EINVAL => failure,
        other => return other,
    };
    let attr = ProgAttach {
        target_fd: map.number(),
        attach_bpf_fd: prog.number(),
        attach_type: number(attach_type),
        ..ProgAttach::default()
    };
    // SAFETY: the attribute holds no addresses.
    match unsafe { bpf(Command::ProgAttach, &mut attr.to_bytes()) } {
        Ok(_) => Ok(Fd::new(
            -1,
            Arc::new(MapDetach {
                attr,
                _held: [map.clone(), prog.clone()],
            }),
        )),
        // The answer about links is the better one, but where the old way knows more.
        Err(Errno::EINVAL) => Err(by_link),
        Err(errno) => Err(sys::failure(Command::ProgAttach, errno, WHAT)),
    }
}

struct MapDetach {
    attr: ProgAttach,
    _held: [Fd; 2],
}

impl CloseFd for MapDetach {
    fn close(&self, _number: i32) {
        // SAFETY: the attribute holds no addresses.
        let _ = unsafe { bpf(Command::ProgDetach, &mut self.attr.to_bytes()) };
    }
}
