//! The contract itself: what user space may ask of a kernel.
//!
//! One trait, two implementations: Panal's kernel in user space and Linux over bpf(2). Requests are
//! typed; each names the bpf(2) command that it stands for.

use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use core::net::IpAddr;

use bitflags::bitflags;
use panal_btf::{Btf, TypeId};
use panal_isa::Slot;

use crate::{AttachType, Errno, MapType, ProgType, report::Rejection};

/// A descriptor of an object of a kernel: a program, map, link or BTF. Closes when the last clone
/// is dropped.
#[derive(Clone)]
pub struct Fd(Arc<FdInner>);

struct FdInner {
    number: i32,
    owner: Arc<dyn CloseFd>,
}

/// Who closes a descriptor.
pub trait CloseFd: Send + Sync {
    /// Called once, when nobody holds the descriptor any more.
    fn close(&self, number: i32);
}

impl Fd {
    /// Several as one, closed together; its number is that of the first.
    pub fn together(parts: Vec<Fd>) -> Self {
        struct Parts {
            _parts: Vec<Fd>,
        }
        impl CloseFd for Parts {
            fn close(&self, _: i32) {}
        }
        let number = parts.first().map_or(-1, Fd::number);
        Fd::new(number, Arc::new(Parts { _parts: parts }))
    }

    /// Takes ownership of an open descriptor.
    pub fn new(number: i32, owner: Arc<dyn CloseFd>) -> Self {
        Fd(Arc::new(FdInner { number, owner }))
    }

    /// The number that stands in instructions and attributes.
    pub fn number(&self) -> i32 {
        self.0.number
    }
}

impl Drop for FdInner {
    fn drop(&mut self) {
        self.owner.close(self.number);
    }
}

/// The same descriptor, not another one of the same object.
impl PartialEq for Fd {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Fd {}

impl core::fmt::Debug for Fd {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Fd({})", self.0.number)
    }
}

bitflags! {
    /// `BPF_F_*` flags of `BPF_MAP_CREATE`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
    pub struct MapFlags: u32 {
        /// `BPF_F_NO_PREALLOC`
        const NO_PREALLOC = 1 << 0;
        /// `BPF_F_NO_COMMON_LRU`
        const NO_COMMON_LRU = 1 << 1;
        /// `BPF_F_NUMA_NODE`
        const NUMA_NODE = 1 << 2;
        /// `BPF_F_RDONLY`: read-only for user space.
        const RDONLY = 1 << 3;
        /// `BPF_F_WRONLY`: write-only for user space.
        const WRONLY = 1 << 4;
        /// `BPF_F_STACK_BUILD_ID`
        const STACK_BUILD_ID = 1 << 5;
        /// `BPF_F_ZERO_SEED`
        const ZERO_SEED = 1 << 6;
        /// `BPF_F_RDONLY_PROG`
        const RDONLY_PROG = 1 << 7;
        /// `BPF_F_WRONLY_PROG`
        const WRONLY_PROG = 1 << 8;
        /// `BPF_F_CLONE`
        const CLONE = 1 << 9;
        /// `BPF_F_MMAPABLE`
        const MMAPABLE = 1 << 10;
        /// `BPF_F_PRESERVE_ELEMS`
        const PRESERVE_ELEMS = 1 << 11;
        /// `BPF_F_INNER_MAP`
        const INNER_MAP = 1 << 12;
        /// Other bits travel unchanged.
        const _ = !0;
    }
}

impl MapFlags {
    /// The flags that no map of a type can be made without.
    pub fn needed_by(map_type: MapType) -> MapFlags {
        match map_type {
            MapType::LpmTrie
            | MapType::SkStorage
            | MapType::InodeStorage
            | MapType::TaskStorage
            | MapType::CgrpStorage => MapFlags::NO_PREALLOC,
            MapType::Arena => MapFlags::MMAPABLE,
            _ => MapFlags::empty(),
        }
    }
}

bitflags! {
    /// `BPF_F_*` flags of `BPF_PROG_LOAD`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
    pub struct ProgFlags: u32 {
        /// `BPF_F_STRICT_ALIGNMENT`
        const STRICT_ALIGNMENT = 1 << 0;
        /// `BPF_F_ANY_ALIGNMENT`
        const ANY_ALIGNMENT = 1 << 1;
        /// `BPF_F_TEST_RND_HI32`
        const TEST_RND_HI32 = 1 << 2;
        /// `BPF_F_TEST_STATE_FREQ`
        const TEST_STATE_FREQ = 1 << 3;
        /// `BPF_F_SLEEPABLE`
        const SLEEPABLE = 1 << 4;
        /// `BPF_F_XDP_HAS_FRAGS`
        const XDP_HAS_FRAGS = 1 << 5;
        /// `BPF_F_XDP_DEV_BOUND_ONLY`
        const XDP_DEV_BOUND_ONLY = 1 << 6;
        /// `BPF_F_TEST_REG_INVARIANTS`
        const TEST_REG_INVARIANTS = 1 << 7;
        /// Other bits travel unchanged.
        const _ = !0;
    }
}

/// `BPF_MAP_CREATE`
#[derive(Clone, Debug)]
pub struct MapSpec {
    /// At most 15 bytes count.
    pub name: String,
    /// What it is.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Capacity in elements (bytes for ring buffers).
    pub max_entries: u32,
    /// Flags.
    pub flags: MapFlags,
    /// `map_extra`: bloom filter hashes, arena address.
    pub extra: u64,
    /// NUMA node, with [`MapFlags::NUMA_NODE`].
    pub numa_node: u32,
    /// Template of the inner maps.
    pub inner: Option<Fd>,
    /// BTF with the ids of key and value type.
    pub btf: Option<(Fd, TypeId, TypeId)>,
    /// For struct_ops maps: id of the value type in the kernel's BTF.
    pub vmlinux_value_type: Option<TypeId>,
}

impl MapSpec {
    /// A map without a name, flags and types: sizes of a key and of a value in bytes, and capacity.
    pub fn new(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> Self {
        MapSpec {
            name: String::new(),
            map_type,
            key_size,
            value_size,
            max_entries,
            flags: MapFlags::empty(),
            extra: 0,
            numa_node: 0,
            inner: None,
            btf: None,
            vmlinux_value_type: None,
        }
    }

    /// The same under a name.
    pub fn named(self, name: impl Into<String>) -> Self {
        MapSpec {
            name: name.into(),
            ..self
        }
    }

    /// The same with these flags.
    pub fn with_flags(self, flags: MapFlags) -> Self {
        MapSpec { flags, ..self }
    }
}

/// What a kernel tells of a map (`struct bpf_map_info`, and the descriptor's fdinfo).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[allow(missing_docs)] // named as in bpf_map_info
pub struct MapInfo {
    pub id: u32,
    pub name: String,
    pub map_type: MapType,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub flags: MapFlags,
    pub extra: u64,
    pub btf_id: u32,
    pub btf_key_type_id: TypeId,
    pub btf_value_type_id: TypeId,
    /// Of a struct_ops map: its value's type in the kernel's own BTF.
    pub btf_vmlinux_value_type_id: TypeId,
    pub frozen: bool,
    /// Bytes of memory that it takes.
    pub memlock: u64,
    /// Of a prog array: number of the type of its programs, and whether they are machine code.
    pub owner: Option<(u32, bool)>,
}

/// Where a function begins (`struct bpf_func_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FuncInfo {
    /// Slot of the first instruction.
    pub slot: u32,
    /// Its [`panal_btf::Kind::Func`].
    pub ty: TypeId,
}

/// Where a source line's code begins (`struct bpf_line_info`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LineInfo {
    /// Slot of the first instruction.
    pub slot: u32,
    /// Source file as the compiler named it.
    pub file: Arc<str>,
    /// The line's text.
    pub text: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 when unknown.
    pub column: u32,
}

/// To what a program is tied already when it is loaded.
#[derive(Clone, Debug)]
pub enum LoadTarget {
    /// A type of the kernel's own BTF: a function (fentry, LSM), a tracepoint's typedef, a struct_ops type.
    KernelBtf(TypeId),
    /// A function of another program (fentry on BPF, `freplace`).
    Program(Fd, TypeId),
}

/// `BPF_PROG_LOAD`
#[derive(Clone, Debug)]
pub struct ProgSpec {
    /// Name; at most 15 bytes count for Linux.
    pub name: String,
    /// What it may do.
    pub prog_type: ProgType,
    /// `expected_attach_type`
    pub attach_type: Option<AttachType>,
    /// Instructions; maps stand as descriptor numbers of this kernel.
    pub code: Vec<Slot>,
    /// Its licence, as in `SEC("license")`.
    pub license: String,
    /// `LINUX_VERSION_CODE`, for old kprobe programs.
    pub kern_version: u32,
    /// Flags.
    pub flags: ProgFlags,
    /// What it is tied to.
    pub target: Option<LoadTarget>,
    /// BTF with the program's types.
    pub btf: Option<Fd>,
    /// Functions, by slot.
    pub funcs: Vec<FuncInfo>,
    /// Source lines, by slot.
    pub lines: Vec<LineInfo>,
    /// Descriptor array for `Imm64::MapIndex` and kfuncs of modules.
    pub fd_array: Vec<Fd>,
    /// Maps that are bound to the program although no instruction names them (`.rodata` with only metadata).
    pub bind_maps: Vec<Fd>,
    /// 0: no log, 1: as Linux's level 1, 2: every instruction, 4: statistics only. Bits as Linux.
    pub log_level: u32,
}

impl ProgSpec {
    /// A program under the GPL without types, flags and target, whose verification is not logged.
    pub fn new(name: impl Into<String>, prog_type: ProgType, code: Vec<Slot>) -> Self {
        ProgSpec {
            name: name.into(),
            prog_type,
            attach_type: None,
            code,
            license: "GPL".into(),
            kern_version: 0,
            flags: ProgFlags::empty(),
            target: None,
            btf: None,
            funcs: Vec::new(),
            lines: Vec::new(),
            fd_array: Vec::new(),
            bind_maps: Vec::new(),
            log_level: 0,
        }
    }
}

/// What the verifier counted; names as in Linux's summary line and veristat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VerifierStats {
    /// Instructions processed along all paths.
    pub processed: u64,
    /// States remembered in all.
    pub total_states: u64,
    /// Most states held at once.
    pub peak_states: u64,
    /// Bytes of stack, all frames of the deepest chain.
    pub stack_depth: u32,
    /// Wall time in nanoseconds.
    pub time_ns: u64,
}

/// A program that was loaded.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its descriptor.
    pub fd: Fd,
    /// The verifier's log; empty at level 0.
    pub log: String,
    /// What the verifier counted; `None` where the kernel does not tell.
    pub stats: Option<VerifierStats>,
}

/// Why a program was not loaded.
#[derive(Clone, Debug)]
pub enum LoadError {
    /// The verifier's verdict: the program's fault.
    Rejected {
        /// Linux's errno for it.
        errno: Errno,
        /// What was wrong; `None` where only the log tells.
        rejection: Option<Box<Rejection>>,
        /// The log as Linux prints it.
        log: String,
        /// What the verifier counted until then.
        stats: Option<VerifierStats>,
    },
    /// The kernel could not try: a lack of privilege, of memory, of a feature, or a malformed request.
    Failed(Failure),
}

impl LoadError {
    /// Longer than the kernel takes, which is a verdict, too: of the program's size.
    pub fn too_long(instructions: usize, most: usize) -> LoadError {
        LoadError::Rejected {
            errno: Errno::E2BIG,
            rejection: Some(Box::new(Rejection::too_long(instructions, most))),
            log: String::new(),
            stats: None,
        }
    }
}

/// A command that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{command}: {errno}{}{detail}", if detail.is_empty() { "" } else { ": " })]
pub struct Failure {
    /// The bpf(2) command, by its uapi name: `BPF_MAP_CREATE`.
    pub command: &'static str,
    /// Linux's errno.
    pub errno: Errno,
    /// What was wrong and whose fault it is; may be empty.
    pub detail: String,
}

/// `BPF_PROG_TEST_RUN`
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TestRun {
    /// Packet or argument data.
    pub data_in: Vec<u8>,
    /// Context as the uapi defines it (`struct xdp_md`, `struct __sk_buff`, …).
    pub ctx_in: Vec<u8>,
    /// How often; 0 means once.
    pub repeat: u32,
    /// Flags (`BPF_F_TEST_*`).
    pub flags: u32,
    /// CPU to run on, with `BPF_F_TEST_RUN_ON_CPU`.
    pub cpu: u32,
}

/// What a test run gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TestRunResult {
    /// The program's return value.
    pub retval: u32,
    /// Nanoseconds per run, on average.
    pub duration_ns: u64,
    /// The packet afterwards.
    pub data_out: Vec<u8>,
    /// The context afterwards.
    pub ctx_out: Vec<u8>,
    /// Instructions that one run executed, where the kernel counts them.
    pub steps: Option<u64>,
    /// Set when a budget or a caught fault ended the program early, with the reason.
    pub stopped: Option<String>,
    /// What ran the program, by the name that `--engine` has for it, where the kernel tells.
    pub engine: Option<String>,
    /// Why the program was interpreted though the kernel runs machine code.
    pub interpreted: Option<String>,
    /// Why the program was not optimised though the kernel optimises.
    #[cfg_attr(feature = "serde", serde(default))]
    pub not_optimised: Option<String>,
}

/// What a program is attached to (`BPF_LINK_CREATE` and its elder relatives).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachTarget {
    /// A network interface by index: XDP, tcx, netkit by link. Socket filters see its packets
    /// through a packet socket that lives with the link.
    Interface {
        /// `if_nametoindex`; in Panal's kernel, the number of a packet port. 0 stands for all, for
        /// socket filters.
        index: u32,
        /// XDP: by which part of the kernel.
        mode: XdpMode,
        /// tcx, netkit: among the programs that are there.
        order: Order,
    },
    /// XDP on a network interface by netlink (`RTM_SETLINK`), as kernels before 5.9 have it.
    XdpNetlink {
        /// `if_nametoindex`
        index: u32,
        /// By which part of the kernel.
        mode: XdpMode,
        /// Id of the program that is there and is to be replaced, and that comes back afterwards;
        /// `None`: none must be there.
        replaces: Option<u32>,
    },
    /// A tc program as a filter (`cls_bpf`, direct action) of the `clsact` queueing discipline,
    /// which is made when it is missing.
    Classifier {
        /// `if_nametoindex`
        index: u32,
        /// On packets that leave, rather than those that come.
        egress: bool,
        /// Filters run in this order, from 1; 0: before those that are there.
        priority: u16,
    },
    /// A tracepoint: `syscalls`, `sys_enter_openat`.
    Tracepoint {
        /// Category.
        category: String,
        /// Event.
        name: String,
    },
    /// A raw tracepoint by name: `sys_enter`, `sched_process_exec`.
    RawTracepoint(String),
    /// What was fixed at load time: fentry, fexit, LSM, `tp_btf`, struct_ops, iterators.
    AtLoad,
    /// A kernel function.
    Kprobe {
        /// Function name.
        function: String,
        /// Bytes into it.
        offset: u64,
        /// At its return.
        on_return: bool,
    },
    /// Kernel functions, all with one link (`kprobe.multi`, `kprobe.session`).
    KprobeMulti {
        /// A name, or a pattern with `*` and `?`.
        pattern: String,
        /// At their return.
        on_return: bool,
    },
    /// An instruction in user space.
    Uprobe {
        /// Path of the binary.
        path: String,
        /// Where in it.
        site: UserSite,
        /// At the return of the function that begins there.
        on_return: bool,
        /// Only this process; `None` for all.
        pid: Option<u32>,
    },
    /// Instructions in user space, all with one link (`uprobe.multi`, `uprobe.session`).
    UprobeMulti {
        /// Path of the binary.
        path: String,
        /// Where in it.
        sites: Vec<UserSite>,
        /// At the return of the functions that begin there.
        on_return: bool,
        /// Only this process; `None` for all.
        pid: Option<u32>,
    },
    /// A cgroup.
    Cgroup {
        /// Its directory.
        path: String,
        /// Among the programs that are there.
        order: Order,
    },
    /// Samples of an event: `perf_event` programs.
    PerfSampling {
        /// What is counted.
        event: PerfEvent,
        /// How often the program runs.
        rate: SampleRate,
        /// Only this process and what it starts from now on; `None` for all, on every CPU.
        pid: Option<u32>,
    },
    /// An iterator over objects of the kernel.
    Iterator(IteratorOver),
    /// A map of type struct_ops, in the place of the program: its functions are registered.
    StructOps,
    /// A socket's descriptor (socket filters).
    Socket(i32),
    /// The `SO_REUSEPORT` group of a socket's descriptor: sk_reuseport programs, and socket filters
    /// that return the number of the socket.
    ReuseportGroup(i32),
    /// The sockets of a sockmap or sockhash: `sk_skb`, `sk_msg`.
    SocketMap(Fd),
    /// A new route, which goes with the link: lightweight tunnels.
    Route {
        /// Where packets go.
        destination: IpAddr,
        /// Leading bits of it that count.
        prefix_len: u8,
        /// Index of the interface that they leave by.
        index: u32,
    },
    /// The network namespace of a descriptor (`sk_lookup`, flow dissector).
    NetNamespace(i32),
    /// A netfilter hook.
    Netfilter {
        /// `NFPROTO_*`
        family: u32,
        /// `NF_INET_*`
        hook: u32,
        /// Priority among its peers.
        priority: i32,
        /// Fragments are put together before the program sees them.
        defrag: bool,
    },
}

/// By which part of the kernel XDP programs are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// The driver where it can, the network stack otherwise.
    #[default]
    Auto,
    /// The network stack (`XDP_FLAGS_SKB_MODE`): on every interface, after a packet's buffer is made.
    Generic,
    /// The driver (`XDP_FLAGS_DRV_MODE`).
    Native,
    /// The device itself (`XDP_FLAGS_HW_MODE`).
    Offload,
}

/// Where a program runs among those that hang at the same place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// After those that are there; nothing is said to the kernel.
    #[default]
    Appended,
    /// Before all.
    First,
    /// After all.
    Last,
    /// Right before this one.
    Before(Peer),
    /// Right after this one.
    After(Peer),
}

/// A program that hangs somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// By the program's id.
    Program(u32),
    /// By the link's id.
    Link(u32),
}

/// A place in a binary where a user probe is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserSite {
    /// Bytes into the file.
    pub offset: u64,
    /// Bytes into the file of a counter that is raised while the probe is set; 0 for none. Probes
    /// of `<sys/sdt.h>` call theirs a semaphore.
    pub ref_counter: u64,
    /// What `bpf_get_attach_cookie` returns there.
    pub cookie: u64,
}

/// What is counted for sampling (`perf_event_attr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerfEvent {
    /// `PERF_TYPE_*`
    pub kind: u32,
    /// `PERF_COUNT_*`
    pub config: u64,
}

/// How often a sampling program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleRate {
    /// About so many times a second, on each CPU or for each thread.
    Frequency(u64),
    /// Every so many events.
    Period(u64),
}

/// What an iterator goes through (`union bpf_iter_link_info`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IteratorOver {
    /// All there are.
    Everything,
    /// The elements of a map, by descriptor.
    Map(i32),
    /// Cgroups.
    Cgroup {
        /// Where it begins.
        path: String,
        /// `BPF_CGROUP_ITER_*`
        order: u32,
    },
    /// The threads of a process, and what they have.
    Process(u32),
}

/// Flags of `BPF_MAP_UPDATE_ELEM`.
pub mod update {
    /// Create or replace.
    pub const BPF_ANY: u64 = 0;
    /// Create only.
    pub const BPF_NOEXIST: u64 = 1;
    /// Replace only.
    pub const BPF_EXIST: u64 = 2;
    /// Under the element's spin lock.
    pub const BPF_F_LOCK: u64 = 4;
}

/// What user space may ask of a kernel.
///
/// Descriptors belong to the kernel that made them. Every method can fail with [`Failure`] that
/// names the command and Linux's errno.
pub trait Kernel: Send + Sync {
    /// `panal` or `linux`, with a version: for messages.
    fn name(&self) -> String;

    /// BTF of the kernel's own types: what CO-RE relocates against.
    fn btf(&self) -> Result<Arc<Btf>, Failure>;

    /// `LINUX_VERSION_CODE` of the kernel that is modelled: for `LINUX_KERNEL_VERSION` externs.
    fn version(&self) -> u32;

    /// Value of a `CONFIG_*` option, as written in `.config` (`y`, `m`, `"text"`, `42`).
    fn config(&self, name: &str) -> Option<String>;

    /// Address of a kernel symbol, for `__ksym` externs without a type.
    fn symbol(&self, name: &str) -> Option<u64>;

    /// How many CPUs per-CPU values have.
    fn cpus(&self) -> u32;

    /// `BPF_BTF_LOAD`
    fn btf_load(&self, bytes: &[u8]) -> Result<Fd, Failure>;

    /// `BPF_MAP_CREATE`
    fn map_create(&self, spec: &MapSpec) -> Result<Fd, Failure>;

    /// `BPF_OBJ_GET_INFO_BY_FD` for a map.
    fn map_info(&self, map: &Fd) -> Result<MapInfo, Failure>;

    /// `BPF_MAP_LOOKUP_ELEM`. The value; for per-CPU maps, one after another, each rounded up to 8
    /// bytes. `None` when the key is not there.
    fn map_lookup(&self, map: &Fd, key: &[u8], flags: u64) -> Result<Option<Vec<u8>>, Failure>;

    /// `BPF_MAP_UPDATE_ELEM`. Values of map-of-maps and prog arrays are descriptor numbers.
    fn map_update(&self, map: &Fd, key: &[u8], value: &[u8], flags: u64) -> Result<(), Failure>;

    /// `BPF_MAP_DELETE_ELEM`; false when the key was not there.
    fn map_delete(&self, map: &Fd, key: &[u8]) -> Result<bool, Failure>;

    /// `BPF_MAP_GET_NEXT_KEY`; from the start without a key, `None` at the end.
    fn map_next_key(&self, map: &Fd, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, Failure>;

    /// `BPF_MAP_FREEZE`
    fn map_freeze(&self, map: &Fd) -> Result<(), Failure>;

    /// Hands every record that waits in a ring buffer to `sink`; how many there were.
    fn ring_buffer_consume(&self, map: &Fd, sink: &mut dyn FnMut(&[u8])) -> Result<usize, Failure>;

    /// Hands every sample that waits in a perf event array to `sink` (CPU, bytes); the count of
    /// samples lost is handed over by the second closure. From the first call on there are samples:
    /// before it, programs are told that nobody reads (`ENOENT`).
    fn perf_buffer_consume(
        &self,
        map: &Fd,
        sink: &mut dyn FnMut(u32, &[u8]),
        lost: &mut dyn FnMut(u32, u64),
    ) -> Result<usize, Failure>;

    /// `BPF_OBJ_PIN`
    fn pin(&self, object: &Fd, path: &str) -> Result<(), Failure>;

    /// `BPF_OBJ_GET`; `None` when nothing is pinned there.
    fn get_pinned(&self, path: &str) -> Result<Option<Fd>, Failure>;

    /// `BPF_PROG_LOAD`
    fn prog_load(&self, spec: &ProgSpec) -> Result<Loaded, LoadError>;

    /// `BPF_PROG_TEST_RUN`
    fn prog_test_run(&self, prog: &Fd, run: &TestRun) -> Result<TestRunResult, Failure>;

    /// `BPF_LINK_CREATE` or what precedes it; detaches when the descriptor closes.
    fn attach(&self, prog: &Fd, target: &AttachTarget) -> Result<Fd, Failure>;

    /// `BPF_LINK_UPDATE`: another program of the same type takes the place of a link's, without a
    /// gap. With `expected`, only if that is the link's program.
    fn link_update(&self, link: &Fd, prog: &Fd, expected: Option<&Fd>) -> Result<(), Failure>;

    /// `BPF_LINK_DETACH`: detaches now, whoever else holds the link.
    fn link_detach(&self, link: &Fd) -> Result<(), Failure>;

    /// `BPF_ITER_CREATE`: what an attached iterator writes, from the first object to the last.
    fn iterate(&self, link: &Fd, sink: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let _ = (link, sink);
        Err(Failure {
            command: "BPF_ITER_CREATE",
            errno: Errno::EOPNOTSUPP,
            detail: format!("{} has no iterators", self.name()),
        })
    }

    /// Writes bytes into an arena, `offset` from its start, as user space does that has it mapped.
    fn arena_write(&self, map: &Fd, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        let _ = (map, offset, bytes);
        Err(Failure {
            command: "mmap",
            errno: Errno::EOPNOTSUPP,
            detail: format!("{} has no arenas", self.name()),
        })
    }

    /// Puts a record into a user ring buffer; false when it is full.
    fn user_ring_buffer_write(&self, map: &Fd, record: &[u8]) -> Result<bool, Failure> {
        let _ = (map, record);
        Err(Failure {
            command: "BPF_MAP_UPDATE_ELEM",
            errno: Errno::EOPNOTSUPP,
            detail: format!("{} has no user ring buffers", self.name()),
        })
    }
}
