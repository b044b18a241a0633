//! The tracing file system: numbers of tracepoints.

use std::{
    fs, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    path::PathBuf,
    sync::OnceLock,
};

use panal_uapi::{Command, Errno, kernel::Failure};

use crate::sys::failure;

/// Where distributions mount it, newest first.
const PLACES: &[&str] = &["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The tracing file system: where it is mounted and readable, or else a mount that only this
/// process sees, and that ends with it.
fn root() -> io::Result<PathBuf> {
    let mounted = PLACES
        .iter()
        .map(PathBuf::from)
        .find(|p| p.join("events").is_dir());
    if let Some(mounted) = mounted {
        return Ok(mounted);
    }
    static OWN: OnceLock<Result<OwnedFd, i32>> = OnceLock::new();
    match OWN.get_or_init(|| detached().map_err(|e| e.raw_os_error().unwrap_or(libc::EIO))) {
        Ok(fd) => Ok(PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))),
        Err(errno) => Err(io::Error::from_raw_os_error(*errno)),
    }
}

/// A mount of it that stands nowhere in the directory tree.
fn detached() -> io::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_uint = 1;
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    const FSMOUNT_CLOEXEC: libc::c_uint = 1;
    let owned = |fd: libc::c_long| match fd {
        0.. => {
            // SAFETY: a descriptor that the call just made, owned by nobody else.
            Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
        }
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: fsopen reads one C string; fsconfig with this command takes null pointers, and
    // fsmount numbers only.
    unsafe {
        let context = owned(libc::syscall(
            libc::SYS_fsopen,
            c"tracefs".as_ptr(),
            FSOPEN_CLOEXEC,
        ))?;
        let null = std::ptr::null::<libc::c_void>();
        let fd = context.as_raw_fd();
        if libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, null, null, 0) < 0 {
            return Err(io::Error::last_os_error());
        }
        owned(libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, 0))
    }
}

/// The number of a tracepoint, for perf_event_open(2).
pub fn tracepoint_id(category: &str, name: &str) -> Result<u64, Failure> {
    let wrong = |errno, detail: String| failure(Command::LinkCreate, errno, detail);
    let simple = |s: &str| !s.is_empty() && !s.contains(['/', '\0']) && s != "..";
    if !simple(category) || !simple(name) {
        return Err(wrong(
            Errno::EINVAL,
            format!("no tracepoint is called {category}/{name}"),
        ));
    }
    let root = root().map_err(|e| {
        let detail = "the tracing file system is not mounted, and cannot be: \
             as root, mount -t tracefs tracefs /sys/kernel/tracing";
        wrong(Errno(e.raw_os_error().unwrap_or(libc::EIO)), detail.into())
    })?;
    let path = root.join("events").join(category).join(name).join("id");
    let text = fs::read_to_string(&path).map_err(|e| {
        let errno = Errno(e.raw_os_error().unwrap_or(libc::EIO));
        wrong(
            errno,
            format!("this kernel has no tracepoint {category}/{name}"),
        )
    })?;
    text.trim()
        .parse()
        .map_err(|_| wrong(Errno::EINVAL, format!("{} holds no number", path.display())))
}
