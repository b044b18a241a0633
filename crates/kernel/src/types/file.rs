//! Open files, and the names and inodes behind them.

use super::describe::{ConstUnsignedChar, Ptr, Void, kernel_structs};
use super::task::{Cred, KGid, KUid};

kernel_structs! {
    /// A name with its length.
    struct Qstr = "qstr" {
        hash: u32 [ "u32" ],
        len: u32 [ "u32" ],
        name: Ptr<ConstUnsignedChar>,
    }

    /// A file system.
    struct SuperBlock = "super_block" {
        s_dev: u32 [ "dev_t" ],
        s_magic: u64,
        s_root: Ptr<Dentry>,
    }

    /// A file, apart from its names.
    struct Inode = "inode" {
        i_mode: u16 [ "umode_t" ],
        i_nlink: u32,
        i_uid: KUid [ "kuid_t" ],
        i_gid: KGid [ "kgid_t" ],
        i_flags: u32,
        i_sb: Ptr<SuperBlock>,
        i_ino: u64,
        i_rdev: u32 [ "dev_t" ],
        i_size: i64 [ "loff_t" ],
    }

    /// A name in a directory.
    struct Dentry = "dentry" {
        d_flags: u32,
        d_parent: Ptr<Dentry>,
        d_name: Qstr,
        d_inode: Ptr<Inode>,
        d_sb: Ptr<SuperBlock>,
    }

    /// A mounted file system.
    struct VfsMount = "vfsmount" {
        mnt_root: Ptr<Dentry>,
        mnt_sb: Ptr<SuperBlock>,
        mnt_flags: i32,
    }

    /// A place in the tree of files.
    struct Path = "path" {
        mnt: Ptr<VfsMount>,
        dentry: Ptr<Dentry>,
    }

    /// An open file.
    struct File = "file" {
        f_mode: u32 [ "fmode_t" ],
        f_flags: u32,
        f_path: Path,
        f_inode: Ptr<Inode>,
        f_cred: Ptr<Cred>,
        f_pos: i64 [ "loff_t" ],
        private_data: Ptr<Void>,
    }
}
