//! Finds the file that a path means to a task: as Linux would for the task itself, but held by a
//! descriptor, so that nothing can change between the decision and the act.
//!
//! Links under procfs are the trap: `/proc/self` is the supervisor when the supervisor walks. Most
//! paths never meet procfs and are found by one openat2(2); the others are walked name by name.

use std::{
    collections::VecDeque,
    ffi::{CStr, CString},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use panal_uapi::Errno;

use super::{memory::last_errno, traced::Traced};

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found {
    /// A file, held by an `O_PATH` descriptor.
    File(OwnedFd),
    /// Nothing yet: this name in this directory.
    Missing(OwnedFd, Vec<u8>),
}

/// How the last name of a path is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// A symbolic link is followed.
    Follow,
    /// A symbolic link is the file itself.
    NoFollow,
}

/// As many symbolic links as Linux follows.
const MAX_LINKS: usize = 40;
/// `PROC_SUPER_MAGIC`
const PROC_MAGIC: i64 = 0x9fa0;
/// Inode number of procfs's root.
const PROC_ROOT_INODE: u64 = 1;
/// Files under the supervisor's own directory in procfs that a task may open: what ps(1) reads.
const HARMLESS: [&[u8]; 5] = [b"stat", b"statm", b"status", b"cmdline", b"comm"];

/// Where a task's paths start. Held before the task's rights are taken on: only the supervisor's
/// own may look at a task's directories in procfs.
pub(super) struct Start {
    tid: u32,
    tgid: u32,
    /// The task's root directory; `None` when it is ours, and paths mean the same to both.
    root: Option<OwnedFd>,
    /// Where this path starts; `None` for the root directory.
    here: Option<OwnedFd>,
}

impl Start {
    /// For a path relative to the task's descriptor `dirfd` (or `AT_FDCWD`), looked up with
    /// `RESOLVE_*` of openat2(2).
    ///
    /// # Errors
    /// `EBADF` for a descriptor that is not open; `ESRCH` or `ENOENT` for a task that is gone.
    pub fn of(task: &Traced, dirfd: i32, path: &[u8], flags: u64) -> Result<Self, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        let root = match task.has_own_root() {
            true => Some(task_file(task.tid, "root")?),
            false => None,
        };
        let from_root = path.starts_with(b"/") && flags & libc::RESOLVE_IN_ROOT == 0;
        let here = match from_root {
            true => None,
            false => Some(base(task.tid, dirfd)?),
        };
        Ok(Start {
            tid: task.tid,
            tgid: task.tgid,
            root,
            here,
        })
    }

    /// The descriptor to start from, for Linux.
    fn from(&self) -> BorrowedFd<'_> {
        // SAFETY: AT_FDCWD is no descriptor that anybody owns. It is only used for absolute paths,
        // which do not look at it.
        let nowhere = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };
        self.here
            .as_ref()
            .or(self.root.as_ref())
            .map_or(nowhere, |fd| fd.as_fd())
    }

    /// The root directory, and where the path starts, for a walk.
    fn directories(&self) -> Result<(OwnedFd, OwnedFd), Errno> {
        let clone = |fd: &OwnedFd| fd.try_clone().map_err(|_| Errno::EMFILE);
        let root = match &self.root {
            Some(root) => clone(root)?,
            None => open_path(self.from(), b"/", Last::Follow, 0)?,
        };
        let here = clone(self.here.as_ref().unwrap_or(&root))?;
        Ok((root, here))
    }

    /// Finds what `path` means, with `RESOLVE_*` of openat2(2).
    ///
    /// # Errors
    /// Linux's, as open(2) gives them.
    pub fn resolve(&self, path: &[u8], last: Last, flags: u64) -> Result<Found, Errno> {
        let absolute = path.starts_with(b"/");
        if self.root.is_none() || absolute || flags != 0 {
            let in_root = match absolute && self.root.is_some() {
                true => libc::RESOLVE_IN_ROOT,
                false => 0,
            };
            let how = in_root | flags | libc::RESOLVE_NO_MAGICLINKS;
            match open_path(self.from(), path, last, how) {
                Ok(file) if !is_procfs(file.as_fd()) => return Ok(Found::File(file)),
                Err(errno) if flags != 0 && errno != Errno::ENOENT => return Err(errno),
                _ => {}
            }
        }
        let (root, here) = self.directories()?;
        if flags != 0 {
            return in_directory(&here, path, flags);
        }
        let walk = Walk {
            tgid: self.tgid,
            tid: self.tid,
            root,
            here,
            names: names_of(path),
            links: 0,
            must_be_directory: path.ends_with(b"/"),
            last,
        };
        walk.run()
    }
}

/// For openat2's restricted lookups, which the kernel alone can do: the directory, and a name in it
/// that is not there (or lies under procfs, which these lookups do not get).
fn in_directory(start: &OwnedFd, path: &[u8], flags: u64) -> Result<Found, Errno> {
    let at = path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    let (directory, name) = path.split_at(at);
    if name.is_empty() || name == b"." || name == b".." {
        return Err(Errno::ENOENT);
    }
    let directory = match directory.is_empty() {
        true => start.try_clone().map_err(|_| Errno::EMFILE)?,
        false => open_path(start.as_fd(), directory, Last::Follow, flags)?,
    };
    if is_procfs(directory.as_fd()) {
        return Err(Errno::EACCES);
    }
    match open_at(directory.as_fd(), name, libc::O_PATH | libc::O_NOFOLLOW) {
        Err(Errno::ENOENT) => Ok(Found::Missing(directory, name.to_vec())),
        // A dangling link or a newcomer: not worth a walk of its own.
        Ok(_) => Err(Errno::ENOENT),
        Err(errno) => Err(errno),
    }
}

struct Walk {
    tgid: u32,
    tid: u32,
    root: OwnedFd,
    here: OwnedFd,
    names: VecDeque<Vec<u8>>,
    links: usize,
    must_be_directory: bool,
    last: Last,
}

impl Walk {
    fn run(mut self) -> Result<Found, Errno> {
        while let Some(name) = self.names.pop_front() {
            if name == b".." {
                if !same_file(self.here.as_fd(), self.root.as_fd())? {
                    self.here = open_at(self.here.as_fd(), b"..", libc::O_PATH)?;
                }
                continue;
            }
            let is_last = self.names.is_empty();
            let in_proc = is_procfs(self.here.as_fd());
            let in_proc_root = in_proc && stat(self.here.as_fd())?.st_ino == PROC_ROOT_INODE;
            if in_proc_root {
                match name.as_slice() {
                    b"self" => {
                        self.names.push_front(self.tgid.to_string().into());
                        continue;
                    }
                    b"thread-self" => {
                        let path = format!("{}/task/{}", self.tgid, self.tid);
                        self.prepend(path.as_bytes());
                        continue;
                    }
                    _ => self.keep_from_supervisor(&name)?,
                }
            }
            let file = match open_at(self.here.as_fd(), &name, libc::O_PATH | libc::O_NOFOLLOW) {
                Err(Errno::ENOENT) if is_last => {
                    return match self.must_be_directory {
                        true => Err(Errno::EISDIR),
                        false => Ok(Found::Missing(self.here, name)),
                    };
                }
                file => file?,
            };
            let kind = stat(file.as_fd())?.st_mode & libc::S_IFMT;
            let follow = !is_last || self.last == Last::Follow || self.must_be_directory;
            if kind == libc::S_IFLNK && follow {
                self.follow(&name, &file, in_proc)?;
            } else {
                if !is_last && kind != libc::S_IFDIR {
                    return Err(Errno::ENOTDIR);
                }
                self.here = file;
            }
        }
        let is_directory = stat(self.here.as_fd())?.st_mode & libc::S_IFMT == libc::S_IFDIR;
        match self.must_be_directory && !is_directory {
            true => Err(Errno::ENOTDIR),
            false => Ok(Found::File(self.here)),
        }
    }

    /// The supervisor is no part of the tree: its memory and descriptors are not for it.
    fn keep_from_supervisor(&self, name: &[u8]) -> Result<(), Errno> {
        let Ok(name) = std::str::from_utf8(name) else {
            return Ok(());
        };
        if name.parse::<u32>().is_err() || !is_own_thread(name) {
            return Ok(());
        }
        let rest: Vec<&[u8]> = self.names.iter().map(Vec::as_slice).collect();
        match rest.as_slice() {
            [] => Ok(()),
            [file] if HARMLESS.contains(file) => Ok(()),
            _ => Err(Errno::EACCES),
        }
    }

    fn follow(&mut self, name: &[u8], link: &OwnedFd, in_proc: bool) -> Result<(), Errno> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::ELOOP);
        }
        if in_proc {
            let plain = libc::RESOLVE_NO_MAGICLINKS;
            let here = self.here.as_fd();
            if matches!(
                open_path(here, name, Last::Follow, plain),
                Err(Errno::ELOOP)
            ) {
                // A magic link has no text to follow: only Linux knows where it leads.
                self.here = open_at(self.here.as_fd(), name, libc::O_PATH)?;
                return Ok(());
            }
        }
        let text = read_link(link.as_fd())?;
        if text.is_empty() {
            return Err(Errno::ENOENT);
        }
        if text.starts_with(b"/") {
            self.here = self.root.try_clone().map_err(|_| last_errno())?;
        }
        if self.names.is_empty() && text.ends_with(b"/") {
            self.must_be_directory = true;
        }
        self.prepend(&text);
        Ok(())
    }

    fn prepend(&mut self, path: &[u8]) {
        for name in names_of(path).into_iter().rev() {
            self.names.push_front(name);
        }
    }
}

fn names_of(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|b| *b == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(<[u8]>::to_vec)
        .collect()
}

fn is_own_thread(number: &str) -> bool {
    std::fs::symlink_metadata(format!("/proc/self/task/{number}")).is_ok()
}

/// The directory from which a task's relative path starts.
fn base(tid: u32, dirfd: i32) -> Result<OwnedFd, Errno> {
    if dirfd == libc::AT_FDCWD {
        return task_file(tid, "cwd");
    }
    if dirfd < 0 {
        return Err(Errno::EBADF);
    }
    task_file(tid, &format!("fd/{dirfd}")).map_err(|errno| match errno {
        Errno::ENOENT => Errno::EBADF,
        errno => errno,
    })
}

/// A magic link of a task's directory in procfs, as an `O_PATH` descriptor.
fn task_file(tid: u32, name: &str) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/{tid}/{name}");
    // SAFETY: AT_FDCWD is no descriptor that anybody owns; only openat interprets it.
    let cwd = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };
    open_at(cwd, path.as_bytes(), libc::O_PATH)
}

/// Whether a task's root directory is another than ours, by mount: paths then mean something else.
/// One that cannot be looked at is another.
pub(super) fn has_own_root(tid: u32) -> bool {
    let theirs = mount_and_inode(format!("/proc/{tid}/root"));
    theirs.is_err() || theirs != mount_and_inode("/".into())
}

fn mount_and_inode(path: String) -> Result<(u64, u64), Errno> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    // SAFETY: an all-zero statx is valid.
    let mut info: libc::statx = unsafe { std::mem::zeroed() };
    let mask = libc::STATX_INO | libc::STATX_MNT_ID;
    // SAFETY: `path` ends with a zero, `info` is a valid place.
    match unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), 0, mask, &mut info) } {
        0 => Ok((info.stx_mnt_id, info.stx_ino)),
        _ => Err(last_errno()),
    }
}

fn same_file(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> Result<bool, Errno> {
    let (a, b) = (stat(a)?, stat(b)?);
    Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

/// What fstat(2) says.
pub(super) fn stat(fd: BorrowedFd<'_>) -> Result<libc::stat, Errno> {
    // SAFETY: an all-zero stat is valid.
    let mut info: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is a valid place.
    match unsafe { libc::fstat(fd.as_raw_fd(), &mut info) } {
        0 => Ok(info),
        _ => Err(last_errno()),
    }
}

/// What fstatat(2) says of a name in a directory, links not followed.
pub(super) fn stat_at(directory: BorrowedFd<'_>, name: &CStr) -> Result<libc::stat, Errno> {
    // SAFETY: an all-zero stat is valid.
    let mut info: libc::stat = unsafe { std::mem::zeroed() };
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: the name ends with a zero, `info` is a valid place.
    match unsafe { libc::fstatat(directory.as_raw_fd(), name.as_ptr(), &mut info, flags) } {
        0 => Ok(info),
        _ => Err(last_errno()),
    }
}

fn is_procfs(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: an all-zero statfs is valid.
    let mut info: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is a valid place.
    let known = unsafe { libc::fstatfs(fd.as_raw_fd(), &mut info) } == 0;
    // What cannot be told is treated with the greater care.
    #[allow(clippy::unnecessary_cast)] // the type differs between C libraries
    let magic = info.f_type as i64;
    !known || magic == PROC_MAGIC
}

/// Absolute path of an open file; without the mark of a deleted one nothing is added.
pub(super) fn path_of(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    match link {
        Ok(path) => Ok(std::os::unix::ffi::OsStringExt::into_vec(
            path.into_os_string(),
        )),
        Err(error) => Err(Errno(error.raw_os_error().unwrap_or(libc::EIO))),
    }
}

/// As [`path_of`], but as the task sees it from its own root directory.
pub(super) fn path_for(task: &Traced, fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let path = path_of(fd)?;
    if !task.has_own_root() {
        return Ok(path);
    }
    let root = path_of(task_file(task.tid, "root")?.as_fd())?;
    Ok(match path.strip_prefix(root.as_slice()) {
        Some(b"") => b"/".to_vec(),
        Some(rest) if rest.starts_with(b"/") => rest.to_vec(),
        _ => path,
    })
}

fn read_link(link: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut text = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: an empty path means the descriptor itself; `text` has room for its own length.
    let got = unsafe {
        libc::readlinkat(
            link.as_raw_fd(),
            c"".as_ptr(),
            text.as_mut_ptr().cast(),
            text.len(),
        )
    };
    match usize::try_from(got) {
        Ok(length) => {
            text.truncate(length);
            Ok(text)
        }
        Err(_) => Err(last_errno()),
    }
}

/// openat(2), close-on-exec.
fn open_at(directory: BorrowedFd<'_>, name: &[u8], flags: i32) -> Result<OwnedFd, Errno> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    // SAFETY: `name` ends with a zero; the descriptor is ours on success.
    unsafe {
        match libc::openat(
            directory.as_raw_fd(),
            name.as_ptr(),
            flags | libc::O_CLOEXEC,
        ) {
            fd if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd)),
            _ => Err(last_errno()),
        }
    }
}

/// openat2(2) for an `O_PATH` descriptor, with `RESOLVE_*`.
fn open_path(
    start: BorrowedFd<'_>,
    path: &[u8],
    last: Last,
    resolve: u64,
) -> Result<OwnedFd, Errno> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    let no_follow = if last == Last::NoFollow {
        libc::O_NOFOLLOW
    } else {
        0
    };
    // SAFETY: an all-zero open_how is valid.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC | no_follow) as u64;
    how.resolve = resolve;
    let start = start.as_raw_fd();
    // SAFETY: `path` ends with a zero, `how` has the size told; the descriptor is ours on success.
    unsafe {
        let size = size_of::<libc::open_how>();
        match libc::syscall(
            libc::SYS_openat2,
            start,
            path.as_ptr(),
            &raw const how,
            size,
        ) {
            fd if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd as i32)),
            _ => Err(last_errno()),
        }
    }
}
