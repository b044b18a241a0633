//! Things of other processes and namespaces that programs are attached to.

use std::{
    ffi::CString,
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
};

use crate::{attach::set_socket_option, janitor::Janitor};

/// `SO_DETACH_REUSEPORT_BPF`
pub const SO_DETACH_REUSEPORT_BPF: i32 = 68;

/// A socket of another process. If this process is killed, programs are taken off it.
pub struct ForeignSocket {
    fd: OwnedFd,
    janitor: Option<Janitor>,
}

impl ForeignSocket {
    /// Takes a copy of a process's descriptor.
    ///
    /// # Errors
    /// When there is no such process or descriptor, or this process may not trace that one.
    pub fn of(pid: u32, number: RawFd) -> io::Result<Self> {
        let owned = |fd: libc::c_long| match fd {
            0.. => {
                // SAFETY: a descriptor that the call just made, owned by nobody else.
                Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
            }
            _ => Err(io::Error::last_os_error()),
        };
        // SAFETY: the calls take numbers only.
        let fd = unsafe {
            let pidfd = owned(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
            owned(libc::syscall(
                libc::SYS_pidfd_getfd,
                pidfd.as_raw_fd(),
                number,
                0,
            ))?
        };
        let raw = fd.as_raw_fd();
        let janitor = Janitor::start(&[raw], || {
            for option in [libc::SO_DETACH_BPF, SO_DETACH_REUSEPORT_BPF] {
                let _ = set_socket_option(raw, option, 0);
            }
        })?;
        Ok(ForeignSocket {
            fd,
            janitor: Some(janitor),
        })
    }
}

impl AsRawFd for ForeignSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Drop for ForeignSocket {
    fn drop(&mut self) {
        // What was attached detached itself.
        if let Some(janitor) = self.janitor.take() {
            janitor.dismiss();
        }
    }
}

/// Moves this thread, and those that it starts, into a network namespace: by the name that
/// `ip netns` gave it, or by a path (`/proc/4711/ns/net`).
pub fn enter_network_namespace(name: &str) -> io::Result<()> {
    let path = match name.contains('/') {
        true => PathBuf::from(name),
        false => Path::new("/run/netns").join(name),
    };
    let file = File::open(path)?;
    // SAFETY: the call takes numbers only.
    match unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The network namespace of this thread.
pub fn network_namespace() -> io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

/// Whether a directory is a cgroup of version 2.
pub fn is_cgroup2(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: an all-zero statfs is valid; the path is a C string that outlives the call.
    let (done, found) = unsafe {
        let mut found: libc::statfs = std::mem::zeroed();
        (libc::statfs(path.as_ptr(), &raw mut found), found)
    };
    match done {
        0 => Ok(found.f_type == libc::CGROUP2_SUPER_MAGIC),
        _ => Err(io::Error::last_os_error()),
    }
}
