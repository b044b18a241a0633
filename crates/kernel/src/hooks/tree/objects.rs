//! The kernel's objects of one event: what programs reach by BTF pointers.
//!
//! They are made for the event and stand in the cage until it is over, filled with what is known
//! of the task, the file or the socket; what is not known is zero.

use crate::{
    cpu::Session,
    socket_mirror::SocketMirror,
    types::{
        KernelType, Ptr,
        file::{Dentry, File, Inode as KernelInode, Path, SuperBlock, VfsMount},
        socket::{Sock, SockAddr, Socket},
        task::{Cred, KGid, KUid, KernelCap, LinuxBinprm, MmStruct, TaskStruct},
        trace::PtRegs,
    },
};

use super::{
    request::{AddressRequest, Inode, Name, OpenRequest},
    traced::{Identity, Traced},
    watcher::Syscall,
};

/// `FMODE_CREATED`
const CREATED: u32 = 0x10_0000;
/// `O_LARGEFILE`, which Linux sets in every 64-bit process.
const LARGE: u32 = 0o100_000;
/// `PF_EXITING`
const EXITING: u32 = 4;
/// Bits of a minor number in the kernel's own device numbers.
const MINOR_BITS: u32 = 20;

/// Makes objects for one event.
pub(super) struct Objects<'s, 'k>(pub &'s mut Session<'k>);

impl Objects<'_, '_> {
    /// Places a value; `fill` gets it all zero, and its address. Null when there is no room.
    fn place<T: KernelType>(&mut self, fill: impl FnOnce(&mut T, u64)) -> Ptr<T> {
        let address = self.0.next_place(align_of::<T>());
        let mut words = vec![0u64; size_of::<T>().div_ceil(8)];
        // SAFETY: the words are as long and as aligned (no kernel type needs more than 8 bytes) as
        // a T, all zero is a valid T, and nothing else refers to them.
        fill(unsafe { &mut *words.as_mut_ptr().cast::<T>() }, address);
        // SAFETY: integers read as bytes: all were written, with zero or by `fill` in place.
        let bytes =
            unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), size_of::<T>()) };
        Ptr::to(self.0.place(bytes, align_of::<T>()).unwrap_or(0))
    }

    /// Bytes with a zero behind them.
    pub fn text<T>(&mut self, text: &[u8]) -> Ptr<T> {
        Ptr::to(self.0.place(&[text, &[0]].concat(), 1).unwrap_or(0))
    }

    /// The `task_struct` of a task, with its credentials and executable, its leader and parent.
    pub fn task(&mut self, task: &Traced) -> Ptr<TaskStruct> {
        let identity = task.identity();
        let parent = self.place(|p: &mut TaskStruct, at| {
            p.pid = identity.parent as i32;
            p.tgid = identity.parent as i32;
            p.comm = identity.parent_comm.map(|b| b as i8);
            p.group_leader = Ptr::to(at);
        });
        let cred = self.cred(&identity);
        let executable = self.file(&identity.executable, 0, Some(Inode::default()));
        let mm = self.place(|mm: &mut MmStruct, _| mm.exe_file = executable);
        let fill = |t: &mut TaskStruct, tid: u32| {
            t.pid = tid as i32;
            t.tgid = task.tgid as i32;
            t.flags = if task.has_left() { EXITING } else { 0 };
            t.prio = 120;
            t.exit_code = task.exit_status();
            t.sessionid = identity.session;
            t.start_time = identity.start_time;
            t.start_boottime = identity.start_time;
            t.comm = identity.comm.map(|b| b as i8);
            (t.real_parent, t.parent) = (parent, parent);
            (t.cred, t.real_cred) = (cred, cred);
            t.mm = mm;
        };
        let leader = (task.tid != task.tgid).then(|| {
            self.place(|t: &mut TaskStruct, at| {
                fill(t, task.tgid);
                t.group_leader = Ptr::to(at);
            })
        });
        self.place(|t: &mut TaskStruct, at| {
            fill(t, task.tid);
            t.group_leader = leader.unwrap_or(Ptr::to(at));
        })
    }

    fn cred(&mut self, identity: &Identity) -> Ptr<Cred> {
        let uid = |n: usize| KUid {
            val: identity.uids[n],
        };
        let gid = |n: usize| KGid {
            val: identity.gids[n],
        };
        self.place(|c: &mut Cred, _| {
            (c.uid, c.euid, c.suid, c.fsuid) = (uid(0), uid(1), uid(2), uid(3));
            (c.gid, c.egid, c.sgid, c.fsgid) = (gid(0), gid(1), gid(2), gid(3));
            c.cap_effective = KernelCap {
                val: identity.capabilities,
            };
        })
    }

    /// The `file` of an open, before it is opened.
    pub fn opened(&mut self, open: &OpenRequest<'_>) -> Ptr<File> {
        self.file(open.path, open.flags, open.inode)
    }

    fn file(&mut self, path: &[u8], flags: i32, inode: Option<Inode>) -> Ptr<File> {
        let made = Inode {
            mode: libc::S_IFREG,
            ..Inode::default()
        };
        let (location, f_inode) = self.location(path, &inode.unwrap_or(made));
        let created = if inode.is_none() { CREATED } else { 0 };
        let file = self.place(|f: &mut File, _| {
            f.f_mode = ((flags as u32).wrapping_add(1) & 3) | created;
            f.f_flags = flags as u32 | LARGE;
            f.f_path = location;
            f.f_inode = f_inode;
        });
        if file.address() != 0 {
            let at = file.address() + std::mem::offset_of!(File, f_path) as u64;
            self.0.name_path(at, &String::from_utf8_lossy(path));
        }
        file
    }

    /// What a `struct path` holds for a path, and its inode.
    fn location(&mut self, path: &[u8], inode: &Inode) -> (Path, Ptr<KernelInode>) {
        let device = kernel_device(inode.device);
        let root = self.place(|d: &mut Dentry, at| d.d_parent = Ptr::to(at));
        let sb = self.place(|s: &mut SuperBlock, _| {
            s.s_dev = device;
            s.s_root = root;
        });
        let inode = self.inode(inode, sb);
        let dentry = self.dentries(path, root, sb, inode);
        let mnt = self.place(|m: &mut VfsMount, _| {
            m.mnt_root = root;
            m.mnt_sb = sb;
        });
        (Path { mnt, dentry }, inode)
    }

    fn inode(&mut self, inode: &Inode, sb: Ptr<SuperBlock>) -> Ptr<KernelInode> {
        self.place(|i: &mut KernelInode, _| {
            i.i_ino = inode.number;
            i.i_mode = inode.mode as u16;
            i.i_uid = KUid { val: inode.uid };
            i.i_gid = KGid { val: inode.gid };
            i.i_nlink = inode.links;
            i.i_size = i64::try_from(inode.size).unwrap_or(i64::MAX);
            i.i_sb = sb;
        })
    }

    /// A `dentry` for every name of a path; that of the last.
    fn dentries(
        &mut self,
        path: &[u8],
        root: Ptr<Dentry>,
        sb: Ptr<SuperBlock>,
        inode: Ptr<KernelInode>,
    ) -> Ptr<Dentry> {
        let names: Vec<_> = path
            .split(|b| *b == b'/')
            .filter(|name| !name.is_empty())
            .collect();
        let mut parent = root;
        for (n, name) in names.iter().enumerate() {
            let text = self.text(name);
            let is_last = n + 1 == names.len();
            parent = self.place(|d: &mut Dentry, _| {
                d.d_parent = parent;
                d.d_name.name = text;
                d.d_name.len = name.len() as u32;
                d.d_sb = sb;
                d.d_inode = if is_last { inode } else { Ptr::NULL };
            });
        }
        parent
    }

    /// The `path` of a directory and the `dentry` of a name in it.
    pub fn name(&mut self, name: &Name<'_>) -> (Ptr<Path>, Ptr<Dentry>) {
        let directory = Inode {
            mode: libc::S_IFDIR,
            ..Inode::default()
        };
        let (path, location) = self.path(name.directory, &directory);
        (path, self.dentry(name, location.dentry))
    }

    /// The `dentry` of an old name, the `path` of the new one's directory, and the new `dentry`. Names
    /// in one directory have one parent, as on Linux.
    pub fn link(
        &mut self,
        from: &Name<'_>,
        to: &Name<'_>,
    ) -> (Ptr<Dentry>, Ptr<Path>, Ptr<Dentry>) {
        let directory = Inode {
            mode: libc::S_IFDIR,
            ..Inode::default()
        };
        let (path, location) = self.path(to.directory, &directory);
        let new = self.dentry(to, location.dentry);
        let old = match from.directory == to.directory {
            true => self.dentry(from, location.dentry),
            false => self.name(from).1,
        };
        (old, path, new)
    }

    /// The `dentry` of a name in a directory.
    fn dentry(&mut self, name: &Name<'_>, parent: Ptr<Dentry>) -> Ptr<Dentry> {
        let inode = match &name.inode {
            Some(inode) => self.inode(inode, Ptr::NULL),
            None => Ptr::NULL,
        };
        let text = self.text(name.name);
        self.place(|d: &mut Dentry, _| {
            d.d_parent = parent;
            d.d_name.name = text;
            d.d_name.len = name.name.len() as u32;
            d.d_inode = inode;
        })
    }

    /// A `struct path`, and what it holds.
    pub fn path(&mut self, path: &[u8], inode: &Inode) -> (Ptr<Path>, Path) {
        let (location, _) = self.location(path, inode);
        let object = self.place(|p: &mut Path, _| *p = location);
        if object.address() != 0 {
            self.0
                .name_path(object.address(), &String::from_utf8_lossy(path));
        }
        (object, location)
    }

    /// The `socket` and the `sockaddr` of a connect or bind.
    pub fn socket(&mut self, request: &AddressRequest<'_>) -> (Ptr<Socket>, Ptr<SockAddr>) {
        let sk = self.place(|s: &mut Sock, _| {
            s.__sk_common.skc_family = request.family as u16;
            s.__sk_common.skc_cookie.counter = request.cookie as i64;
            s.sk_type = request.kind as u16;
            s.sk_protocol = request.protocol as u16;
        });
        let socket = self.place(|s: &mut Socket, _| {
            s.r#type = request.kind as i16;
            s.sk = sk;
        });
        // As long as any address may be: programs read the whole of the family's structure.
        let mut address = request.address.clone();
        address.resize(128, 0);
        (socket, Ptr::to(self.0.place(&address, 8).unwrap_or(0)))
    }

    /// The `bpf_sock` of a cgroup hook's context.
    pub fn bpf_sock(&mut self, request: &AddressRequest<'_>) -> u64 {
        let socket = SocketMirror::new(request.cookie).with_kind(
            request.family as u32,
            request.kind as u32,
            request.protocol as u32,
        );
        self.0.place(socket.bytes(), 8).unwrap_or(0)
    }

    /// Registers at a system call; `value` once it has returned.
    pub fn registers(&mut self, call: &Syscall, value: Option<i64>) -> Ptr<PtRegs> {
        let [di, si, dx, r10, r8, r9] = call.args;
        self.place(|r: &mut PtRegs, _| {
            (r.di, r.si, r.dx, r.r10, r.r8, r.r9) = (di, si, dx, r10, r8, r9);
            r.orig_ax = u64::from(call.number);
            r.ax = value.unwrap_or(-i64::from(libc::ENOSYS)) as u64;
            (r.ip, r.sp) = (call.ip, call.sp);
        })
    }

    /// The `linux_binprm` of an exec that has happened.
    pub fn binprm(&mut self, task: &Traced) -> Ptr<LinuxBinprm> {
        let identity = task.identity();
        let file = self.file(&identity.executable, 0, Some(Inode::default()));
        let (filename, interp) = (
            self.text(&identity.executable),
            self.text(&identity.executable),
        );
        let cred = self.cred(&identity);
        self.place(|b: &mut LinuxBinprm, _| {
            b.file = file;
            b.cred = cred;
            (b.filename, b.interp) = (filename, interp);
        })
    }
}

/// A device number of stat(2) as the kernel keeps it.
fn kernel_device(device: u64) -> u32 {
    (libc::major(device) << MINOR_BITS) | (libc::minor(device) & ((1 << MINOR_BITS) - 1))
}
