//! What a policy is asked: requests of the tree, before they are granted.

use super::watcher::SyscallSet;

/// Which requests are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// Opening and creating files.
    pub open: bool,
    /// Connecting sockets.
    pub connect: bool,
    /// Binding sockets to addresses.
    pub bind: bool,
    /// Changing names, and cutting files off.
    pub change: bool,
}

const OPEN: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_creat,
    libc::SYS_openat,
    libc::SYS_openat2,
];

const CHANGE: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_symlink,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_truncate,
];

/// Ways to the same end that no filter sees or no supervisor can make: they fail with `EPERM` as
/// long as anything is guarded.
const BYPASSES: &[libc::c_long] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_open_by_handle_at,
];

impl Guards {
    /// The system calls that the supervisor makes itself.
    pub(super) fn calls(&self) -> SyscallSet {
        let chosen = [
            (self.open, OPEN),
            (self.connect, &[libc::SYS_connect]),
            (self.bind, &[libc::SYS_bind]),
            (self.change, CHANGE),
        ];
        Self::numbers(
            chosen
                .iter()
                .filter(|(wanted, _)| *wanted)
                .flat_map(|(_, calls)| *calls),
        )
    }

    /// Whether this is a call that opens files.
    pub(super) fn opens(number: u32) -> bool {
        OPEN.contains(&libc::c_long::from(number))
    }

    /// The system calls that are refused because they would go around.
    pub(super) fn bypasses(&self) -> SyscallSet {
        match *self == Guards::default() {
            true => SyscallSet::default(),
            false => Self::numbers(BYPASSES),
        }
    }

    fn numbers<'a>(calls: impl IntoIterator<Item = &'a libc::c_long>) -> SyscallSet {
        calls.into_iter().map(|number| *number as u32).collect()
    }
}

/// A request that waits for a decision. The path or address in it is what will be used if it is
/// granted, not what the task's memory says by then.
#[derive(Debug)]
pub enum Request<'a> {
    /// A file is opened, or made.
    Open(OpenRequest<'a>),
    /// A socket is connected.
    Connect(AddressRequest<'a>),
    /// A socket is bound.
    Bind(AddressRequest<'a>),
    /// A name is changed, or a file cut off.
    Change(Change<'a>),
}

/// A name in a directory.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    /// Absolute path of the directory, as in [`OpenRequest::path`].
    pub directory: &'a [u8],
    /// The name in it, without a slash.
    pub name: &'a [u8],
    /// What it names; `None` when nothing.
    pub inode: Option<Inode>,
}

/// A change of names, or of a file's length.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// `unlink`
    Unlink(Name<'a>),
    /// `rmdir`
    RemoveDirectory(Name<'a>),
    /// `mkdir`, with the mode before the umask.
    MakeDirectory(Name<'a>, u32),
    /// `rename`
    Rename {
        /// The old name.
        from: Name<'a>,
        /// The new one.
        to: Name<'a>,
        /// `RENAME_*`
        flags: u32,
    },
    /// `link`
    Link {
        /// The file, by a name that it has.
        from: Name<'a>,
        /// The new name.
        to: Name<'a>,
    },
    /// `symlink`, with the link's text.
    Symlink(Name<'a>, &'a [u8]),
    /// `truncate`
    Truncate {
        /// The file's absolute path.
        path: &'a [u8],
        /// The file.
        inode: Inode,
    },
}

/// A file to be opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenRequest<'a> {
    /// Its absolute path, free of symbolic links, in the task's own root directory.
    pub path: &'a [u8],
    /// `O_*`, as the task asked.
    pub flags: i32,
    /// The file that is there; `None` when it will be made.
    pub inode: Option<Inode>,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inode {
    /// Its number.
    pub number: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device that it lives on, as stat(2) says.
    pub device: u64,
    /// Links to it.
    pub links: u32,
    /// Bytes.
    pub size: u64,
}

/// A socket and the address that it is given.
#[derive(Debug)]
pub struct AddressRequest<'a> {
    /// `AF_*` of the socket.
    pub family: i32,
    /// `SOCK_*` of the socket, without flags.
    pub kind: i32,
    /// `IPPROTO_*`
    pub protocol: i32,
    /// `SO_COOKIE`: Linux's own number for the socket.
    pub cookie: u64,
    /// The `sockaddr`, at most 128 bytes; may be changed.
    pub address: &'a mut Vec<u8>,
}

impl Inode {
    /// From what stat(2) says.
    pub(super) fn of(info: &libc::stat) -> Self {
        Inode {
            number: info.st_ino,
            mode: info.st_mode,
            uid: info.st_uid,
            gid: info.st_gid,
            device: info.st_dev,
            #[allow(clippy::unnecessary_cast)] // narrower on aarch64
            links: info.st_nlink as u32,
            size: u64::try_from(info.st_size).unwrap_or(0),
        }
    }
}
