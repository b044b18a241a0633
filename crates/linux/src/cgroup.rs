//! A cgroup for a command's processes, gone when they are.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{janitor::Janitor, sys::io_errno};

/// A cgroup (version 2) below that of this process. It is removed when this is dropped, and also if
/// this process is killed: as soon as no process is left in it.
pub struct Cgroup {
    path: PathBuf,
    id: u64,
    /// Begins when this is dropped, whatever drops it.
    _janitor: Janitor,
}

impl Cgroup {
    /// Makes an empty one.
    ///
    /// # Errors
    /// When no cgroup2 file system is mounted, or this process may not make a directory there.
    pub fn new() -> io::Result<Cgroup> {
        let parent = own_directory()?;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("panal-{}-{number}", std::process::id()));
        fs::create_dir(&path).map_err(|e| with_path(&path, &e))?;
        let made = fs::metadata(&path).and_then(|meta| Ok((meta.ino(), janitor(&path)?)));
        match made {
            Ok((id, janitor)) => Ok(Cgroup {
                path,
                id,
                _janitor: janitor,
            }),
            Err(error) => {
                let _ = fs::remove_dir(&path);
                Err(error)
            }
        }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `bpf_get_current_cgroup_id` gives for its processes.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Moves a process there.
    pub fn add(&self, pid: u32) -> io::Result<()> {
        let path = self.path.join("cgroup.procs");
        fs::write(&path, pid.to_string()).map_err(|e| with_path(&path, &e))
    }

    /// Whether a process is in it, or below it.
    pub fn is_populated(&self) -> bool {
        fs::read_to_string(self.path.join("cgroup.events"))
            .is_ok_and(|text| text.lines().any(|line| line == "populated 1"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // While processes are left, it is the janitor's.
        let _ = fs::remove_dir(&self.path);
    }
}

fn with_path(path: &Path, error: &io::Error) -> io::Error {
    let errno = io_errno(error);
    let what = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            ": the directory is somebody else's: run panal as root, or in a cgroup of your own \
             (systemd-run --user --scope -p Delegate=yes panal ...)"
        }
        _ => "",
    };
    io::Error::new(error.kind(), format!("{}: {errno}{what}", path.display()))
}

/// The directory of this process's cgroup.
fn own_directory() -> io::Result<PathBuf> {
    let absent = |what: &str| io::Error::new(io::ErrorKind::NotFound, what.to_owned());
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let own = own
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .ok_or_else(|| absent("this kernel has no cgroups of version 2"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mount = mounts
        .lines()
        .find_map(cgroup2_mount)
        .ok_or_else(|| absent("no cgroup2 file system is mounted"))?;
    Ok(PathBuf::from(mount).join(own))
}

/// Where a line of `mountinfo` mounts a cgroup2 file system.
fn cgroup2_mount(line: &str) -> Option<String> {
    let (mount, kind) = line.split_once(" - ")?;
    (kind.split(' ').next()? == "cgroup2").then(|| mount.split(' ').nth(4).map(unescape))?
}

/// `mountinfo` writes blanks as `\040`.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4);
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// How long the janitor waits between two tries.
const PAUSE: libc::timespec = libc::timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// Who removes the directory once this process is done with it, or dead, and every process has left
/// it.
fn janitor(path: &Path) -> io::Result<Janitor> {
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    Janitor::start(&[], || {
        // SAFETY: the calls get a C string and a constant; errno is this thread's.
        unsafe {
            while libc::rmdir(name.as_ptr()) != 0 && *libc::__errno_location() == libc::EBUSY {
                libc::nanosleep(&PAUSE, std::ptr::null_mut());
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_among_others() {
        let line = "35 26 0:30 / /sys/fs/cgroup\\040x rw,nosuid shared:9 - cgroup2 cgroup2 rw";
        assert_eq!(cgroup2_mount(line).as_deref(), Some("/sys/fs/cgroup x"));
        assert_eq!(cgroup2_mount("22 1 0:20 / /sys rw - sysfs sysfs rw"), None);
    }
}
