//! The tracing file system: numbers of tracepoints.

use std::{fs, path::PathBuf};

use panal_uapi::{Command, Errno, kernel::Failure};

use crate::sys::failure;

/// Where distributions mount it, newest first.
const PLACES: &[&str] = &["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The tracing file system, where it is mounted and readable.
fn root() -> Option<PathBuf> {
    PLACES
        .iter()
        .map(PathBuf::from)
        .find(|p| p.join("events").is_dir())
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
    let root = root().ok_or_else(|| {
        let detail = "the tracing file system is not mounted or not readable: \
             mount -t tracefs tracefs /sys/kernel/tracing";
        wrong(Errno::ENOENT, detail.into())
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
