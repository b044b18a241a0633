//! Changing names for a task: `unlink`, `rmdir`, `mkdir`, `rename`, `link`, `symlink` in directories that are held while
//! the policy is asked; `truncate` of the file that was found.

use std::{
    ffi::CString,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use panal_uapi::Errno;

use super::{
    acting::Actor,
    memory::{last_errno, read_c_string},
    perform::{Asked, Done},
    request::{Change, Inode, Name, Request},
    resolve::{Found, Last, Start, path_for, stat, stat_at},
    traced::Traced,
    watcher::Syscall,
};

/// A name, in a directory that is held.
struct Held {
    directory: OwnedFd,
    directory_path: Vec<u8>,
    /// With a slash at its end where the path had one: Linux then wants a directory.
    name: CString,
    inode: Option<Inode>,
}

impl Held {
    /// The name as the policy sees it.
    fn as_name(&self) -> Name<'_> {
        let name = self.name.to_bytes();
        Name {
            directory: &self.directory_path,
            name: name.strip_suffix(b"/").unwrap_or(name),
            inode: self.inode,
        }
    }
}

/// Does an `unlink`, `rmdir`, `mkdir`, `rename` or one of their relatives, or a `truncate`.
///
/// # Errors
/// Linux's, as the task would get them; the policy's.
pub(super) fn perform(
    actor: &mut Actor,
    task: &Traced,
    call: &Syscall,
    asked: &Asked<'_>,
) -> Result<Done, Errno> {
    let a = &call.args;
    #[cfg(target_arch = "x86_64")]
    let here = libc::AT_FDCWD;
    match libc::c_long::from(call.number) {
        #[cfg(target_arch = "x86_64")]
        libc::SYS_unlink => unlink(actor, task, asked, (here, a[0]), 0),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rmdir => unlink(actor, task, asked, (here, a[0]), libc::AT_REMOVEDIR),
        libc::SYS_unlinkat => unlink(actor, task, asked, (a[0] as i32, a[1]), a[2] as i32),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => mkdir(actor, task, asked, (here, a[0]), a[1] as u32),
        libc::SYS_mkdirat => mkdir(actor, task, asked, (a[0] as i32, a[1]), a[2] as u32),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rename => rename(actor, task, asked, [(here, a[0]), (here, a[1])], 0),
        libc::SYS_renameat => rename(
            actor,
            task,
            asked,
            [(a[0] as i32, a[1]), (a[2] as i32, a[3])],
            0,
        ),
        libc::SYS_renameat2 => {
            let names = [(a[0] as i32, a[1]), (a[2] as i32, a[3])];
            rename(actor, task, asked, names, a[4] as u32)
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_link => link(actor, task, asked, [(here, a[0]), (here, a[1])], 0),
        libc::SYS_linkat => {
            let names = [(a[0] as i32, a[1]), (a[2] as i32, a[3])];
            link(actor, task, asked, names, a[4] as i32)
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_symlink => symlink(actor, task, asked, a[0], (here, a[1])),
        libc::SYS_symlinkat => symlink(actor, task, asked, a[0], (a[1] as i32, a[2])),
        _ => truncate(actor, task, asked, a[0], a[1] as i64),
    }
}

/// A directory descriptor of the task's, and the address of a path.
type At = (i32, u64);

/// What is returned for a path that ends in no name: `.`, `..` or the root.
struct NoName {
    dot: Errno,
    dot_dot: Errno,
    root: Errno,
}

fn hold(
    actor: &Actor,
    task: &Traced,
    (dirfd, address): At,
    no_name: &NoName,
) -> Result<Held, Errno> {
    let path = read_c_string(task.tid, address, libc::PATH_MAX as usize)?;
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let end = path.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    let (text, slashes) = path.split_at(end);
    let begin = text.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    let (directory, name) = text.split_at(begin);
    let has_no_name = match name {
        b"" => return Err(no_name.root),
        b"." => Some(no_name.dot),
        b".." => Some(no_name.dot_dot),
        _ => None,
    };
    let directory = match directory.iter().rposition(|b| *b != b'/') {
        Some(end) => directory.get(..=end).unwrap_or(directory),
        None if directory.is_empty() => b".",
        None => b"/",
    };
    let slash: &[u8] = if slashes.is_empty() { b"" } else { b"/" };
    let start = Start::of(task, dirfd, directory, 0)?;
    let identity = task.identity();
    let directory = actor.act(&identity, || {
        match start.resolve(directory, Last::Follow, 0)? {
            Found::File(directory) => Ok(directory),
            Found::Missing(..) => Err(Errno::ENOENT),
        }
    })?;
    if stat(directory.as_fd())?.st_mode & libc::S_IFMT != libc::S_IFDIR {
        return Err(Errno::ENOTDIR);
    }
    if let Some(errno) = has_no_name {
        return Err(errno);
    }
    let plain = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let inode = match actor.act(&identity, || stat_at(directory.as_fd(), &plain)) {
        Ok(info) => Some(Inode::of(&info)),
        Err(Errno::ENOENT) => None,
        Err(errno) => return Err(errno),
    };
    Ok(Held {
        directory_path: path_for(task, directory.as_fd())?,
        directory,
        name: CString::new([name, slash].concat()).map_err(|_| Errno::EINVAL)?,
        inode,
    })
}

fn unlink(
    actor: &mut Actor,
    task: &Traced,
    asked: &Asked<'_>,
    at: At,
    flags: i32,
) -> Result<Done, Errno> {
    if flags & !libc::AT_REMOVEDIR != 0 {
        return Err(Errno::EINVAL);
    }
    let removes_directory = flags & libc::AT_REMOVEDIR != 0;
    let no_name = match removes_directory {
        true => NoName {
            dot: Errno::EINVAL,
            dot_dot: ENOTEMPTY,
            root: Errno::EBUSY,
        },
        false => NoName {
            dot: Errno::EISDIR,
            dot_dot: Errno::EISDIR,
            root: Errno::EISDIR,
        },
    };
    let held = hold(actor, task, at, &no_name)?;
    asked.still_waits()?;
    // Linux looks a name up before it asks: what is not there cannot be removed.
    if held.inode.is_none() {
        return Err(Errno::ENOENT);
    }
    asked.decide(&mut Request::Change(match removes_directory {
        true => Change::RemoveDirectory(held.as_name()),
        false => Change::Unlink(held.as_name()),
    }))?;
    actor.act(&task.identity(), || {
        // SAFETY: the name ends with a zero; the directory is open.
        result(unsafe { libc::unlinkat(held.directory.as_raw_fd(), held.name.as_ptr(), flags) })
    })
}

fn mkdir(
    actor: &mut Actor,
    task: &Traced,
    asked: &Asked<'_>,
    at: At,
    mode: u32,
) -> Result<Done, Errno> {
    let held = hold(actor, task, at, &TAKEN)?;
    asked.still_waits()?;
    if held.inode.is_some() {
        return Err(Errno::EEXIST);
    }
    asked.decide(&mut Request::Change(Change::MakeDirectory(
        held.as_name(),
        mode,
    )))?;
    actor.take_umask(task.tid)?;
    actor.act(&task.identity(), || {
        // SAFETY: the name ends with a zero; the directory is open.
        result(unsafe { libc::mkdirat(held.directory.as_raw_fd(), held.name.as_ptr(), mode) })
    })
}

fn rename(
    actor: &mut Actor,
    task: &Traced,
    asked: &Asked<'_>,
    [from, to]: [At; 2],
    flags: u32,
) -> Result<Done, Errno> {
    let no_name = NoName {
        dot: Errno::EBUSY,
        dot_dot: Errno::EBUSY,
        root: Errno::EBUSY,
    };
    let from = hold(actor, task, from, &no_name)?;
    let to = hold(actor, task, to, &no_name)?;
    asked.still_waits()?;
    if from.inode.is_none() {
        return Err(Errno::ENOENT);
    }
    let change = Change::Rename {
        from: from.as_name(),
        to: to.as_name(),
        flags,
    };
    asked.decide(&mut Request::Change(change))?;
    if flags & libc::RENAME_EXCHANGE != 0 {
        // Both move: each must be allowed to take the other's place.
        let change = Change::Rename {
            from: to.as_name(),
            to: from.as_name(),
            flags,
        };
        asked.decide(&mut Request::Change(change))?;
    }
    actor.act(&task.identity(), || {
        // SAFETY: both names end with a zero; both directories are open.
        result(unsafe {
            libc::syscall(
                libc::SYS_renameat2,
                from.directory.as_raw_fd(),
                from.name.as_ptr(),
                to.directory.as_raw_fd(),
                to.name.as_ptr(),
                flags,
            ) as i32
        })
    })
}

/// What a name that is to be made must not be.
const TAKEN: NoName = NoName {
    dot: Errno::EEXIST,
    dot_dot: Errno::EEXIST,
    root: Errno::EEXIST,
};

/// The file itself is held, so that the name given cannot mean another one by the time of the link.
fn link(
    actor: &mut Actor,
    task: &Traced,
    asked: &Asked<'_>,
    [(dirfd, address), to]: [At; 2],
    flags: i32,
) -> Result<Done, Errno> {
    if flags & !(libc::AT_SYMLINK_FOLLOW | libc::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = read_c_string(task.tid, address, libc::PATH_MAX as usize)?;
    if path.is_empty() {
        // AT_EMPTY_PATH wants a capability that a supervised command does not have.
        return Err(Errno::ENOENT);
    }
    let last = match flags & libc::AT_SYMLINK_FOLLOW {
        0 => Last::NoFollow,
        _ => Last::Follow,
    };
    let start = Start::of(task, dirfd, &path, 0)?;
    let identity = task.identity();
    let found = actor.act(&identity, || start.resolve(&path, last, 0))?;
    let Found::File(file) = found else {
        return Err(Errno::ENOENT);
    };
    let to = hold(actor, task, to, &TAKEN)?;
    asked.still_waits()?;
    if to.inode.is_some() {
        return Err(Errno::EEXIST);
    }
    let old_path = path_for(task, file.as_fd())?;
    let end = old_path.iter().rposition(|b| *b == b'/').unwrap_or(0);
    let (directory, name) = old_path.split_at(end);
    let from = Name {
        directory: if directory.is_empty() {
            b"/"
        } else {
            directory
        },
        name: name.strip_prefix(b"/").unwrap_or(name),
        inode: Some(Inode::of(&stat(file.as_fd())?)),
    };
    asked.decide(&mut Request::Change(Change::Link {
        from,
        to: to.as_name(),
    }))?;
    let held = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let held = held.map_err(|_| Errno::EINVAL)?;
    actor.act(&identity, || {
        // SAFETY: both names end with a zero; the directory is open.
        result(unsafe {
            libc::linkat(
                libc::AT_FDCWD,
                held.as_ptr(),
                to.directory.as_raw_fd(),
                to.name.as_ptr(),
                libc::AT_SYMLINK_FOLLOW,
            )
        })
    })
}

fn symlink(
    actor: &mut Actor,
    task: &Traced,
    asked: &Asked<'_>,
    text: u64,
    at: At,
) -> Result<Done, Errno> {
    let text = read_c_string(task.tid, text, libc::PATH_MAX as usize)?;
    if text.is_empty() {
        return Err(Errno::ENOENT);
    }
    let held = hold(actor, task, at, &TAKEN)?;
    asked.still_waits()?;
    if held.inode.is_some() {
        return Err(Errno::EEXIST);
    }
    asked.decide(&mut Request::Change(Change::Symlink(held.as_name(), &text)))?;
    let text = CString::new(text).map_err(|_| Errno::EINVAL)?;
    actor.act(&task.identity(), || {
        // SAFETY: text and name end with a zero; the directory is open.
        result(unsafe {
            libc::symlinkat(
                text.as_ptr(),
                held.directory.as_raw_fd(),
                held.name.as_ptr(),
            )
        })
    })
}

fn truncate(
    actor: &mut Actor,
    task: &Traced,
    asked: &Asked<'_>,
    address: u64,
    length: i64,
) -> Result<Done, Errno> {
    if length < 0 {
        return Err(Errno::EINVAL);
    }
    let path = read_c_string(task.tid, address, libc::PATH_MAX as usize)?;
    asked.still_waits()?;
    let start = Start::of(task, libc::AT_FDCWD, &path, 0)?;
    let identity = task.identity();
    let found = actor.act(&identity, || start.resolve(&path, Last::Follow, 0))?;
    let Found::File(file) = found else {
        return Err(Errno::ENOENT);
    };
    let inode = Inode::of(&stat(file.as_fd())?);
    let path = path_for(task, file.as_fd())?;
    asked.decide(&mut Request::Change(Change::Truncate {
        path: &path,
        inode,
    }))?;
    let at = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let at = at.map_err(|_| Errno::EINVAL)?;
    actor.act(&identity, || {
        // SAFETY: the path ends with a zero.
        result(unsafe { libc::truncate(at.as_ptr(), length) })
    })
}

/// `ENOTEMPTY`
const ENOTEMPTY: Errno = Errno(libc::ENOTEMPTY);

fn result(outcome: i32) -> Result<Done, Errno> {
    match outcome {
        0 => Ok(Done::Value(0)),
        _ => Err(last_errno()),
    }
}
