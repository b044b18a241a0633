//! The second half of the contract: what there is in a kernel, whoever made it.
//!
//! [`crate::kernel::Kernel`] is what a loader needs; [`Inspect`] is what tools need that list, look
//! into and change the objects of others.

use alloc::{string::String, vec::Vec};

use bitflags::bitflags;
use panal_btf::TypeId;

use crate::{
    AttachType, Command, ProgType,
    kernel::{Failure, Fd, FuncInfo, Kernel, LineInfo, ProgFlags},
    numbers::uapi_enum,
};

/// The kinds of objects that have ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ObjectKind {
    /// A program.
    Program,
    /// A map.
    Map,
    /// A link.
    Link,
    /// A BTF object.
    Btf,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [ObjectKind; 4] = [
        ObjectKind::Program,
        ObjectKind::Map,
        ObjectKind::Link,
        ObjectKind::Btf,
    ];

    /// As tools and messages name it: `prog`, `map`, `link`, `btf`.
    pub const fn name(self) -> &'static str {
        match self {
            ObjectKind::Program => "prog",
            ObjectKind::Map => "map",
            ObjectKind::Link => "link",
            ObjectKind::Btf => "btf",
        }
    }

    /// The command that gives the next id.
    pub const fn next_id_command(self) -> Command {
        match self {
            ObjectKind::Program => Command::ProgGetNextId,
            ObjectKind::Map => Command::MapGetNextId,
            ObjectKind::Link => Command::LinkGetNextId,
            ObjectKind::Btf => Command::BtfGetNextId,
        }
    }

    /// The command that opens by id.
    pub const fn open_command(self) -> Command {
        match self {
            ObjectKind::Program => Command::ProgGetFdById,
            ObjectKind::Map => Command::MapGetFdById,
            ObjectKind::Link => Command::LinkGetFdById,
            ObjectKind::Btf => Command::BtfGetFdById,
        }
    }
}

bitflags! {
    /// What a descriptor of a map may be used for (`BPF_F_RDONLY`, `BPF_F_WRONLY` in `open_flags`
    /// and `file_flags`); for both without flags.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct OpenFlags: u32 {
        /// `BPF_F_RDONLY`
        const RDONLY = 1 << 3;
        /// `BPF_F_WRONLY`
        const WRONLY = 1 << 4;
        /// Other bits travel unchanged.
        const _ = !0;
    }
}

/// What a kernel tells of a program (`struct bpf_prog_info`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[allow(missing_docs)] // named as in bpf_prog_info
pub struct ProgInfo {
    pub id: u32,
    /// Number of the type: kernels may have types that this version does not know.
    pub prog_type: u32,
    pub name: String,
    /// Over the instructions, without maps' descriptors: the same code has the same tag.
    pub tag: [u8; 8],
    /// Bytes of machine code; 0 when it is interpreted.
    pub jited_len: u32,
    /// Bytes of instructions as the kernel holds them.
    pub xlated_len: u32,
    /// When it was loaded, in nanoseconds since the machine started.
    pub load_time: u64,
    pub created_by_uid: u32,
    pub map_ids: Vec<u32>,
    /// Interface that it is bound to; 0 for none.
    pub ifindex: u32,
    pub gpl_compatible: bool,
    pub btf_id: u32,
    /// Nanoseconds that it ran while [`Inspect::enable_stats`] was on.
    pub run_time_ns: u64,
    /// How often it ran while [`Inspect::enable_stats`] was on.
    pub run_cnt: u64,
    pub recursion_misses: u64,
    /// Instructions that the verifier processed.
    pub verified_insns: u32,
    pub attach_btf_obj_id: u32,
    pub attach_btf_id: TypeId,
    /// Bytes of memory that it takes.
    pub memlock: u64,
    /// Where it may be attached, and its flags: only kernels that tell do.
    pub attach_type: Option<AttachType>,
    pub flags: ProgFlags,
}

impl ProgInfo {
    /// Its type, if this version knows it.
    pub fn known_type(&self) -> Option<ProgType> {
        ProgType::from_number(self.prog_type)
    }
}

/// A function of a program's machine code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct JitedFunction {
    /// Where it lies in the kernel; 0 where the kernel does not say.
    pub address: u64,
    /// Bytes of code.
    pub len: u32,
}

/// The code of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProgCode {
    /// Instructions as the kernel holds them, after rewriting; empty when it does not show them.
    pub xlated: Vec<u8>,
    /// Machine code, functions one after another; empty when there is none or it is not shown.
    pub jited: Vec<u8>,
    /// The functions of the machine code.
    pub jited_functions: Vec<JitedFunction>,
    /// Functions by slot of `xlated`.
    pub funcs: Vec<FuncInfo>,
    /// Source lines by slot of `xlated`.
    pub lines: Vec<LineInfo>,
    /// Address of the machine code of each of `lines`; empty where it is not told.
    pub jited_lines: Vec<u64>,
    /// Names of what calls call, by slot, where their immediates are not helpers' numbers.
    pub calls: Vec<(u32, String)>,
}

uapi_enum! {
    /// What a link is (`enum bpf_link_type`).
    pub enum LinkType: u32 {
        Unspec = 0, "BPF_LINK_TYPE_UNSPEC", "unspec";
        RawTracepoint = 1, "BPF_LINK_TYPE_RAW_TRACEPOINT", "raw_tracepoint";
        Tracing = 2, "BPF_LINK_TYPE_TRACING", "tracing";
        Cgroup = 3, "BPF_LINK_TYPE_CGROUP", "cgroup";
        Iter = 4, "BPF_LINK_TYPE_ITER", "iter";
        Netns = 5, "BPF_LINK_TYPE_NETNS", "netns";
        Xdp = 6, "BPF_LINK_TYPE_XDP", "xdp";
        PerfEvent = 7, "BPF_LINK_TYPE_PERF_EVENT", "perf_event";
        KprobeMulti = 8, "BPF_LINK_TYPE_KPROBE_MULTI", "kprobe_multi";
        StructOps = 9, "BPF_LINK_TYPE_STRUCT_OPS", "struct_ops";
        Netfilter = 10, "BPF_LINK_TYPE_NETFILTER", "netfilter";
        Tcx = 11, "BPF_LINK_TYPE_TCX", "tcx";
        UprobeMulti = 12, "BPF_LINK_TYPE_UPROBE_MULTI", "uprobe_multi";
        Netkit = 13, "BPF_LINK_TYPE_NETKIT", "netkit";
        Sockmap = 14, "BPF_LINK_TYPE_SOCKMAP", "sockmap";
    }
}

/// What a kernel tells of a link (`struct bpf_link_info`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LinkInfo {
    /// Its id.
    pub id: u32,
    /// The program that it holds.
    pub prog_id: u32,
    /// Number of its type: kernels may have types that this version does not know.
    pub link_type: u32,
    /// What it ties the program to.
    pub target: LinkTarget,
}

/// What a link ties its program to: the part of `struct bpf_link_info` that depends on the type.
/// Attach types are numbers, as kernels may have more than this version knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[allow(missing_docs)] // named as in bpf_link_info
pub enum LinkTarget {
    /// The kernel says no more.
    Unknown,
    RawTracepoint {
        name: String,
        cookie: u64,
    },
    Tracing {
        attach_type: u32,
        target_obj_id: u32,
        target_btf_id: u32,
        cookie: u64,
    },
    Cgroup {
        cgroup_id: u64,
        attach_type: u32,
    },
    Iter {
        target_name: String,
        what: IterTarget,
    },
    Netns {
        netns_ino: u32,
        attach_type: u32,
    },
    Xdp {
        ifindex: u32,
    },
    PerfEvent(PerfTarget),
    KprobeMulti {
        flags: u32,
        missed: u64,
        addresses: Vec<u64>,
        cookies: Vec<u64>,
    },
    StructOps {
        map_id: u32,
    },
    Netfilter {
        pf: u32,
        hooknum: u32,
        priority: i32,
        flags: u32,
    },
    Tcx {
        ifindex: u32,
        attach_type: u32,
    },
    UprobeMulti {
        path: String,
        pid: u32,
        flags: u32,
        offsets: Vec<u64>,
        ref_ctr_offsets: Vec<u64>,
        cookies: Vec<u64>,
    },
    Netkit {
        ifindex: u32,
        attach_type: u32,
    },
    Sockmap {
        map_id: u32,
        attach_type: u32,
    },
}

/// What an iterator walks, beside its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[allow(missing_docs)] // named as in bpf_link_info
pub enum IterTarget {
    Plain,
    Map { map_id: u32 },
    Cgroup { cgroup_id: u64, order: u32 },
    Task { tid: u32, pid: u32 },
}

/// What a perf event counts (`enum bpf_perf_event_type`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[allow(missing_docs)] // named as in bpf_link_info
pub enum PerfTarget {
    Unspecified,
    Uprobe {
        file: String,
        offset: u32,
        on_return: bool,
        cookie: u64,
        ref_ctr_offset: u64,
    },
    Kprobe {
        function: String,
        offset: u32,
        address: u64,
        missed: u64,
        on_return: bool,
        cookie: u64,
    },
    Tracepoint {
        name: String,
        cookie: u64,
    },
    Event {
        event_type: u32,
        config: u64,
        cookie: u64,
    },
}

/// What a kernel tells of a BTF object (`struct bpf_btf_info`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BtfInfo {
    /// Its id.
    pub id: u32,
    /// `vmlinux` or a module's name; empty for what user space loaded.
    pub name: String,
    /// Bytes of it.
    pub size: u32,
    /// Whether it is the kernel's or a module's own.
    pub kernel: bool,
}

/// Something that is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pin {
    /// Where.
    pub path: String,
    /// What it is.
    pub kind: ObjectKind,
    /// The object's id.
    pub id: u32,
}

/// Elements that one batch command moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Batch {
    /// Keys, one after another.
    pub keys: Vec<u8>,
    /// Values as [`Kernel::map_lookup`] gives them, one after another.
    pub values: Vec<u8>,
    /// How many.
    pub count: u32,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// What user space may ask of a kernel about objects that it did not make itself.
pub trait Inspect: Kernel {
    /// `BPF_*_GET_NEXT_ID`: the smallest id above this one; `None` when there is none.
    fn next_id(&self, kind: ObjectKind, after: u32) -> Result<Option<u32>, Failure>;

    /// `BPF_*_GET_FD_BY_ID`; `None` when no object has this id (any more). `flags` are for maps.
    fn open_id(&self, kind: ObjectKind, id: u32, flags: OpenFlags) -> Result<Option<Fd>, Failure>;

    /// What a descriptor is of.
    fn kind_of(&self, object: &Fd) -> Result<ObjectKind, Failure>;

    /// `BPF_OBJ_GET_INFO_BY_FD` for a program, without its code.
    fn prog_info(&self, prog: &Fd) -> Result<ProgInfo, Failure>;

    /// `BPF_OBJ_GET_INFO_BY_FD` for a program's code.
    fn prog_code(&self, prog: &Fd) -> Result<ProgCode, Failure>;

    /// `BPF_OBJ_GET_INFO_BY_FD` for a link.
    fn link_info(&self, link: &Fd) -> Result<LinkInfo, Failure>;

    /// `BPF_OBJ_GET_INFO_BY_FD` for a BTF object, without its bytes.
    fn btf_info(&self, btf: &Fd) -> Result<BtfInfo, Failure>;

    /// `BPF_OBJ_GET_INFO_BY_FD` for a BTF object's bytes.
    fn btf_bytes(&self, btf: &Fd) -> Result<Vec<u8>, Failure>;

    /// `BPF_MAP_LOOKUP_AND_DELETE_ELEM`; `None` when the key is not there, or a queue is empty.
    fn map_lookup_and_delete(
        &self,
        map: &Fd,
        key: &[u8],
        flags: u64,
    ) -> Result<Option<Vec<u8>>, Failure>;

    /// `BPF_MAP_LOOKUP_BATCH`, or `BPF_MAP_LOOKUP_AND_DELETE_BATCH` with `delete`: up to `count`
    /// elements from where an earlier [`Batch::next`] ended. `ENOSPC` when a bucket has more.
    fn map_lookup_batch(
        &self,
        map: &Fd,
        from: Option<&[u8]>,
        count: u32,
        delete: bool,
    ) -> Result<Batch, Failure>;

    /// `BPF_MAP_UPDATE_BATCH`; how many elements were written.
    fn map_update_batch(
        &self,
        map: &Fd,
        keys: &[u8],
        values: &[u8],
        flags: u64,
    ) -> Result<u32, Failure>;

    /// `BPF_MAP_DELETE_BATCH`; how many elements were deleted: fewer than given when a key is not
    /// there, where it ends.
    fn map_delete_batch(&self, map: &Fd, keys: &[u8]) -> Result<u32, Failure>;

    /// `BPF_ENABLE_STATS`: programs' runs are counted and timed until the descriptor closes.
    fn enable_stats(&self) -> Result<Fd, Failure>;

    /// `BPF_OBJ_GET` with `file_flags`; `None` when nothing is pinned there.
    fn get_pinned_as(&self, path: &str, flags: OpenFlags) -> Result<Option<Fd>, Failure>;

    /// Removes a pin; false when nothing is pinned there.
    fn unpin(&self, path: &str) -> Result<bool, Failure>;

    /// Everything that is pinned, as far as the caller may see it, by path.
    fn pins(&self) -> Result<Vec<Pin>, Failure>;
}
