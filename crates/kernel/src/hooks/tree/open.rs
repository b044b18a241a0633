//! Opening for a task: the supervisor finds the file, asks, opens that very file and hands over the
//! descriptor. The task's memory is read once; whoever changes it, or the path, changes nothing.

use std::{
    ffi::CString,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use panal_uapi::Errno;

use crate::memory::read_process;

use super::{
    acting::Actor,
    memory::{last_errno, read_c_string},
    perform::{Asked, Done},
    request::{Inode, OpenRequest, Request},
    resolve::{Found, Last, Start, path_for, stat},
    traced::Traced,
    watcher::Syscall,
};

/// What a task wants to open.
struct Wanted {
    dirfd: i32,
    path: Vec<u8>,
    flags: i32,
    mode: u32,
    resolve: u64,
}

/// How often a file may appear and vanish under our hands before we give up.
const PATIENCE: usize = 64;

/// Does an `open`, `creat`, `openat` or `openat2`.
///
/// # Errors
/// Linux's, as the task would get them; the policy's.
pub(super) fn perform(
    actor: &mut Actor,
    task: &Traced,
    call: &Syscall,
    asked: &Asked<'_>,
) -> Result<Done, Errno> {
    let wanted = Wanted::read(task.tid, call)?;
    asked.still_waits()?;
    if wanted.flags & libc::O_PATH != 0 {
        // Nothing can be read or written by such a descriptor, Linux does not ask its security
        // modules for it, and it cannot be handed over: Linux shall make it itself. But only where
        // the flags stand in registers; a thread could change openat2's in memory meanwhile.
        return match libc::c_long::from(call.number) {
            libc::SYS_openat2 => Err(Errno::ENOSYS),
            _ => Ok(Done::Proceed),
        };
    }
    let identity = task.identity();
    let last = match wanted.flags {
        f if f & libc::O_NOFOLLOW != 0 => Last::NoFollow,
        f if f & libc::O_CREAT != 0 && f & libc::O_EXCL != 0 => Last::NoFollow,
        _ => Last::Follow,
    };
    let start = Start::of(task, wanted.dirfd, &wanted.path, wanted.resolve)?;
    for _ in 0..PATIENCE {
        let found = actor.act(&identity, || {
            start.resolve(&wanted.path, last, wanted.resolve)
        })?;
        match found {
            Found::File(file) => {
                return existing(actor, task, &wanted, &file, asked);
            }
            Found::Missing(_, _) if wanted.flags & libc::O_CREAT == 0 => return Err(Errno::ENOENT),
            Found::Missing(directory, name) => {
                match create(actor, task, &wanted, directory.as_fd(), &name, asked) {
                    // Somebody was faster: then it is there, and is asked for as such.
                    Err(Errno::EEXIST) if wanted.flags & libc::O_EXCL == 0 => {}
                    Err(errno) => return Err(errno),
                    Ok(file) => return Ok(Done::File(file, wanted.cloexec())),
                }
            }
        }
    }
    Err(Errno::EAGAIN)
}

impl Wanted {
    fn read(tid: u32, call: &Syscall) -> Result<Self, Errno> {
        let a = &call.args;
        let path = |address| read_c_string(tid, address, libc::PATH_MAX as usize);
        let number = libc::c_long::from(call.number);
        Ok(match number {
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => Wanted {
                dirfd: libc::AT_FDCWD,
                path: path(a[0])?,
                flags: a[1] as i32,
                mode: a[2] as u32,
                resolve: 0,
            },
            #[cfg(target_arch = "x86_64")]
            libc::SYS_creat => Wanted {
                dirfd: libc::AT_FDCWD,
                path: path(a[0])?,
                flags: libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC,
                mode: a[1] as u32,
                resolve: 0,
            },
            libc::SYS_openat2 => {
                let (flags, mode, resolve) = read_how(tid, a[2], a[3])?;
                Wanted {
                    dirfd: a[0] as i32,
                    path: path(a[1])?,
                    flags,
                    mode,
                    resolve,
                }
            }
            _ => Wanted {
                dirfd: a[0] as i32,
                path: path(a[1])?,
                flags: a[2] as i32,
                mode: a[3] as u32,
                resolve: 0,
            },
        })
    }

    fn cloexec(&self) -> bool {
        self.flags & libc::O_CLOEXEC != 0
    }

    /// Flags for opening what was found; the descriptor is ours first, and no terminal of the
    /// task's shall become ours.
    fn flags_for_found(&self) -> i32 {
        self.flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW)
            | libc::O_CLOEXEC
            | libc::O_NOCTTY
    }

    fn is_tmpfile(&self) -> bool {
        self.flags & libc::O_TMPFILE == libc::O_TMPFILE
    }

    fn writes(&self) -> bool {
        self.flags & libc::O_ACCMODE != libc::O_RDONLY
    }
}

/// Reads `struct open_how` (openat2(2)): flags, mode, resolve.
fn read_how(tid: u32, address: u64, size: u64) -> Result<(i32, u32, u64), Errno> {
    const KNOWN: usize = 24;
    let size = usize::try_from(size).map_err(|_| Errno::E2BIG)?;
    if size < KNOWN {
        return Err(Errno::EINVAL);
    }
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    let mut bytes = vec![0u8; size];
    read_process(tid, address, &mut bytes)?;
    let (known, rest) = bytes.split_at(KNOWN);
    if rest.iter().any(|b| *b != 0) {
        return Err(Errno::E2BIG);
    }
    let word = |at: usize| {
        let bytes = known.get(at..at + 8).and_then(|b| b.try_into().ok());
        u64::from_ne_bytes(bytes.unwrap_or_default())
    };
    let flags = i32::try_from(word(0)).map_err(|_| Errno::EINVAL)?;
    let mode = u32::try_from(word(8)).map_err(|_| Errno::EINVAL)?;
    let makes = flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE;
    let all_known = libc::RESOLVE_NO_XDEV
        | libc::RESOLVE_NO_MAGICLINKS
        | libc::RESOLVE_NO_SYMLINKS
        | libc::RESOLVE_BENEATH
        | libc::RESOLVE_IN_ROOT
        | libc::RESOLVE_CACHED;
    if mode & !0o7777 != 0 || (!makes && mode != 0) || word(16) & !all_known != 0 {
        return Err(Errno::EINVAL);
    }
    Ok((flags, mode, word(16)))
}

/// Opens a file that is there.
fn existing(
    actor: &mut Actor,
    task: &Traced,
    wanted: &Wanted,
    file: &OwnedFd,
    asked: &Asked<'_>,
) -> Result<Done, Errno> {
    let info = stat(file.as_fd())?;
    let kind = info.st_mode & libc::S_IFMT;
    let flags = wanted.flags;
    if flags & libc::O_CREAT != 0 && flags & libc::O_EXCL != 0 && !wanted.is_tmpfile() {
        return Err(Errno::EEXIST);
    }
    match kind {
        libc::S_IFLNK if flags & libc::O_DIRECTORY != 0 => return Err(Errno::ENOTDIR),
        libc::S_IFLNK => return Err(Errno::ELOOP),
        libc::S_IFDIR if wanted.is_tmpfile() => {}
        libc::S_IFDIR if wanted.writes() || flags & libc::O_CREAT != 0 => {
            return Err(Errno::EISDIR);
        }
        libc::S_IFDIR => {}
        _ if flags & libc::O_DIRECTORY != 0 => return Err(Errno::ENOTDIR),
        _ => {}
    }
    let path = path_for(task, file.as_fd())?;
    let inode = Some(Inode::of(&info));
    asked.decide(&mut Request::Open(OpenRequest {
        path: &path,
        flags,
        inode,
    }))?;
    if wanted.is_tmpfile() {
        actor.take_umask(task.tid)?;
    }
    let (flags, mode) = (wanted.flags_for_found(), wanted.mode);
    let identity = task.identity();
    if is_terminal_of_session(&info) && identity.session != own_session() {
        return Err(Errno::ENXIO);
    }
    if kind == libc::S_IFIFO && flags & libc::O_NONBLOCK == 0 {
        let fifo = file.try_clone().map_err(|_| Errno::EMFILE)?;
        let cloexec = wanted.cloexec();
        // Blocks until the other side comes: not on the thread that serves the whole tree. That
        // thread has the supervisor's rights, so the task's are checked here.
        actor.act(&identity, || may_access(file.as_fd(), flags))?;
        return Ok(Done::Later(Box::new(move || {
            reopen(fifo.as_fd(), flags, mode).map(|file| Done::File(file, cloexec))
        })));
    }
    let file = actor.act(&identity, || reopen(file.as_fd(), flags, mode))?;
    Ok(Done::File(file, wanted.cloexec()))
}

/// Makes a file that was not there.
fn create(
    actor: &mut Actor,
    task: &Traced,
    wanted: &Wanted,
    directory: BorrowedFd<'_>,
    name: &[u8],
    asked: &Asked<'_>,
) -> Result<OwnedFd, Errno> {
    if wanted.flags & libc::O_DIRECTORY != 0 {
        return Err(Errno::EINVAL);
    }
    let mut path = path_for(task, directory)?;
    if path != b"/" {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    let request = OpenRequest {
        path: &path,
        flags: wanted.flags,
        inode: None,
    };
    asked.decide(&mut Request::Open(request))?;
    actor.take_umask(task.tid)?;
    // Exclusive, so that it is made here and nowhere that a link appearing now points to.
    let flags = wanted.flags_for_found() | libc::O_CREAT | libc::O_EXCL;
    actor.act(&task.identity(), || {
        open(directory.as_raw_fd(), name, flags, wanted.mode)
    })
}

/// Opens the file of an `O_PATH` descriptor in earnest.
fn reopen(file: BorrowedFd<'_>, flags: i32, mode: u32) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    open(libc::AT_FDCWD, path.as_bytes(), flags, mode)
}

fn open(directory: i32, path: &[u8], flags: i32, mode: u32) -> Result<OwnedFd, Errno> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    // SAFETY: `path` ends with a zero; the descriptor is ours on success.
    unsafe {
        match libc::openat(directory, path.as_ptr(), flags, mode) {
            fd if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd)),
            _ => Err(last_errno()),
        }
    }
}

/// Whether the acting rights allow to open a file with these flags.
fn may_access(file: BorrowedFd<'_>, flags: i32) -> Result<(), Errno> {
    let wanted = match flags & libc::O_ACCMODE {
        libc::O_RDONLY => libc::R_OK,
        libc::O_WRONLY => libc::W_OK,
        _ => libc::R_OK | libc::W_OK,
    };
    let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let path = path.map_err(|_| Errno::EINVAL)?;
    let (number, at) = (libc::SYS_faccessat2, libc::AT_FDCWD);
    // SAFETY: `path` ends with a zero.
    match unsafe { libc::syscall(number, at, path.as_ptr(), wanted, libc::AT_EACCESS) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// `/dev/tty`: means the terminal of whoever opens it.
fn is_terminal_of_session(info: &libc::stat) -> bool {
    info.st_mode & libc::S_IFMT == libc::S_IFCHR && info.st_rdev == libc::makedev(5, 0)
}

fn own_session() -> u32 {
    // SAFETY: asks about the caller.
    unsafe { libc::getsid(0) as u32 }
}
