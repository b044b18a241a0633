//! What a helper's signature says: five arguments, a return value, and how the call behaves.

use bitflags::bitflags;

use crate::ProgType;

bitflags! {
    /// What an argument allows or demands beyond its kind.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ArgFlags: u32 {
        /// Null is fine.
        const MAYBE_NULL = 1 << 0;
        /// The helper only reads: read-only memory is fine.
        const RDONLY = 1 << 1;
        /// The memory need not be initialised: the helper fills all of it.
        const UNINIT = 1 << 2;
        /// The helper writes.
        const WRITE = 1 << 3;
        /// The reference is given up by the call.
        const RELEASE = 1 << 4;
        /// The address must be aligned to the size.
        const ALIGNED = 1 << 5;
    }
}

/// Kind of a dynptr that a helper or kfunc takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DynptrKind {
    /// Over a map value or other memory of the program.
    Local,
    /// Over a record of a ring buffer: must be submitted or discarded.
    Ringbuf,
    /// Over an `sk_buff`.
    Skb,
    /// Over an `xdp_buff`.
    Xdp,
    /// Over the metadata before an `sk_buff`'s data.
    SkbMeta,
}

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArgKind {
    /// Any initialised value.
    Anything,
    /// A map, known at load time.
    ConstMap,
    /// Memory of the map's key size.
    MapKey,
    /// Memory of the map's value size.
    MapValue,
    /// Memory whose size is the next argument.
    Mem,
    /// Memory of this many bytes.
    FixedMem(u32),
    /// Bytes of the memory before it, at least 1.
    MemSize,
    /// Bytes of the memory before it, 0 allowed.
    MemSizeOrZero,
    /// Bytes to allocate, a constant; the returned memory has that size.
    AllocSize,
    /// The program's context.
    Ctx,
    /// A `bpf_spin_lock` in a map value or an allocated object.
    SpinLock,
    /// A socket of any kind, by its uapi mirror.
    SockCommon,
    /// A full socket, by its uapi mirror (`struct bpf_sock`).
    Socket,
    /// A kernel object of this type.
    Btf(&'static str),
    /// A socket of any kind: uapi mirror or kernel type.
    BtfSockCommon,
    /// A per-CPU variable of the kernel.
    PercpuBtf,
    /// A record that `ringbuf_reserve` gave.
    RingbufMem,
    /// A function of the program.
    Func,
    /// The stack, or what lies on it: a callback's context.
    Stack,
    /// A NUL-terminated string in a frozen read-only map.
    ConstStr,
    /// A `bpf_timer` in a map value.
    Timer,
    /// Where a kptr lives: a field of a map value or an allocated object.
    KptrXchgDest,
    /// What is put there: an object of the field's type.
    KptrXchgSource,
    /// A dynptr, of the given kind or of any.
    Dynptr(Option<DynptrKind>),
}

/// One argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Arg {
    /// What it must be.
    pub kind: ArgKind,
    /// What else holds.
    pub flags: ArgFlags,
}

impl Arg {
    /// An argument without flags.
    pub const fn new(kind: ArgKind) -> Self {
        Arg {
            kind,
            flags: ArgFlags::empty(),
        }
    }

    /// With a flag more.
    pub const fn with(self, flags: ArgFlags) -> Self {
        Arg {
            kind: self.kind,
            flags: self.flags.union(flags),
        }
    }

    /// Or null.
    pub const fn or_null(self) -> Self {
        self.with(ArgFlags::MAYBE_NULL)
    }
}

/// What a helper returns in `r0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Return {
    /// A number.
    Integer,
    /// Nothing: `r0` is not readable afterwards.
    Void,
    /// A value of the map argument.
    MapValue,
    /// A value of the map argument, or null.
    MapValueOrNull,
    /// A full socket, or null.
    SocketOrNull,
    /// A socket of any kind, or null.
    SockCommonOrNull,
    /// A TCP socket's uapi mirror, or null.
    TcpSockOrNull,
    /// Memory of the `AllocSize` argument's size in a ring buffer, or null.
    RingbufMemOrNull,
    /// Memory of the `AllocSize` argument's size behind a dynptr, or null.
    DynptrMemOrNull,
    /// This CPU's instance of the `PercpuBtf` argument.
    PerCpu,
    /// Another CPU's instance of the `PercpuBtf` argument, or null.
    PerCpuOrNull,
    /// A kernel object of this type.
    Btf(&'static str),
    /// A kernel object of this type that is valid and may be passed on.
    TrustedBtf(&'static str),
    /// A kernel object of this type, or null.
    BtfOrNull(&'static str),
    /// The object that was in the `KptrXchgDest` argument, or null.
    KptrOrNull,
}

bitflags! {
    /// How a call behaves.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Traits: u32 {
        /// Only programs with a GPL-compatible licence may call it.
        const GPL_ONLY = 1 << 0;
        /// Memory arguments may point into the packet.
        const PACKET_ACCESS = 1 << 1;
        /// It may sleep: sleepable programs only, and not inside RCU sections.
        const MAY_SLEEP = 1 << 2;
        /// It may sleep when the calling program is sleepable, and does not otherwise.
        const SLEEPS_IF_SLEEPABLE = 1 << 3;
        /// It keeps `r1` to `r5` where it has no use for them (`bpf_fastcall`).
        const FASTCALL = 1 << 4;
        /// What it returns must be released.
        const ACQUIRES = 1 << 5;
        /// It can move the packet: packet pointers are void afterwards.
        const CHANGES_PACKET = 1 << 6;
        /// It returns its first argument under another type: same object, same reference.
        const CASTS_POINTER = 1 << 7;
        /// It calls a function of the program before it returns.
        const SYNC_CALLBACK = 1 << 8;
        /// It arranges for a function of the program to be called later.
        const ASYNC_CALLBACK = 1 << 9;
        /// Only sleepable programs may call it.
        const SLEEPABLE_ONLY = 1 << 10;
        /// It reads arguments that its signature does not have: all five are given.
        const READS_MORE = 1 << 11;
    }
}

/// Arguments, return value and behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The arguments in order, at most five.
    pub args: &'static [Arg],
    /// What comes back.
    pub ret: Return,
    /// How it behaves.
    pub traits: Traits,
}

/// A helper: its number, its name, its rules.
#[derive(Clone, Copy, Debug)]
pub struct Helper {
    /// `BPF_FUNC_*`
    pub id: u32,
    /// Name without `bpf_`, as in `BPF_FUNC_*`.
    pub name: &'static str,
    /// Kernel version that brought it: major, minor.
    pub since: (u8, u8),
    /// What it does, in a sentence.
    pub doc: &'static str,
    /// For most program types.
    pub signature: Signature,
    /// For program types with rules of their own; the first that lists the type counts.
    pub variants: &'static [(&'static [ProgType], Signature)],
}

impl Helper {
    /// The signature that a program type sees.
    pub fn signature_for(&self, prog_type: ProgType) -> &Signature {
        self.variants
            .iter()
            .find(|(types, _)| types.contains(&prog_type))
            .map_or(&self.signature, |(_, signature)| signature)
    }
}

/// A signature, for the tables.
pub(crate) const fn sig(args: &'static [Arg], ret: Return) -> Signature {
    Signature {
        args,
        ret,
        traits: Traits::empty(),
    }
}

impl Signature {
    pub(crate) const fn with(mut self, traits: Traits) -> Self {
        self.traits = self.traits.union(traits);
        self
    }

    pub(crate) const fn gpl(self) -> Self {
        self.with(Traits::GPL_ONLY)
    }

    pub(crate) const fn packet(self) -> Self {
        self.with(Traits::PACKET_ACCESS)
    }

    pub(crate) const fn may_sleep(self) -> Self {
        self.with(Traits::MAY_SLEEP)
    }

    pub(crate) const fn acquires(self) -> Self {
        self.with(Traits::ACQUIRES)
    }

    pub(crate) const fn changes_packet(self) -> Self {
        self.with(Traits::CHANGES_PACKET)
    }

    pub(crate) const fn casts(self) -> Self {
        self.with(Traits::CASTS_POINTER)
    }
}

/// Short names of the argument kinds for the tables.
pub(crate) mod args {
    use super::{Arg, ArgFlags, ArgKind, DynptrKind};

    pub const ANY: Arg = Arg::new(ArgKind::Anything);
    pub const MAP: Arg = Arg::new(ArgKind::ConstMap);
    pub const KEY: Arg = Arg::new(ArgKind::MapKey);
    pub const VALUE: Arg = Arg::new(ArgKind::MapValue);
    pub const VALUE_OUT: Arg = VALUE.with(ArgFlags::UNINIT.union(ArgFlags::WRITE));
    pub const MEM: Arg = Arg::new(ArgKind::Mem);
    pub const MEM_RO: Arg = MEM.with(ArgFlags::RDONLY);
    pub const MEM_RW: Arg = MEM.with(ArgFlags::WRITE);
    pub const MEM_OUT: Arg = MEM.with(ArgFlags::UNINIT.union(ArgFlags::WRITE));
    pub const SIZE: Arg = Arg::new(ArgKind::MemSize);
    pub const SIZE0: Arg = Arg::new(ArgKind::MemSizeOrZero);
    pub const ALLOC: Arg = Arg::new(ArgKind::AllocSize);
    pub const CTX: Arg = Arg::new(ArgKind::Ctx);
    pub const LOCK: Arg = Arg::new(ArgKind::SpinLock);
    pub const SKC: Arg = Arg::new(ArgKind::SockCommon);
    pub const SOCKET: Arg = Arg::new(ArgKind::Socket);
    pub const SK: Arg = Arg::new(ArgKind::BtfSockCommon);
    pub const TASK: Arg = Arg::new(ArgKind::Btf("task_struct"));
    pub const PERCPU: Arg = Arg::new(ArgKind::PercpuBtf);
    pub const RECORD: Arg = Arg::new(ArgKind::RingbufMem).with(ArgFlags::RELEASE);
    pub const FUNC: Arg = Arg::new(ArgKind::Func);
    pub const STACK_OR_NULL: Arg = Arg::new(ArgKind::Stack).or_null();
    pub const STR: Arg = Arg::new(ArgKind::ConstStr);
    pub const TIMER: Arg = Arg::new(ArgKind::Timer);
    pub const DYNPTR_RO: Arg = Arg::new(ArgKind::Dynptr(None)).with(ArgFlags::RDONLY);

    pub const fn btf(name: &'static str) -> Arg {
        Arg::new(ArgKind::Btf(name))
    }

    pub const fn fixed(size: u32) -> Arg {
        Arg::new(ArgKind::FixedMem(size))
    }

    /// The same, which is only read.
    pub const fn fixed_ro(size: u32) -> Arg {
        fixed(size).with(ArgFlags::RDONLY)
    }

    /// An aligned number that the helper writes.
    pub const fn number_out(size: u32) -> Arg {
        fixed(size).with(
            ArgFlags::UNINIT
                .union(ArgFlags::WRITE)
                .union(ArgFlags::ALIGNED),
        )
    }

    pub const fn dynptr_out(kind: DynptrKind) -> Arg {
        Arg::new(ArgKind::Dynptr(Some(kind))).with(ArgFlags::UNINIT.union(ArgFlags::WRITE))
    }

    pub const fn dynptr_release(kind: DynptrKind) -> Arg {
        Arg::new(ArgKind::Dynptr(Some(kind))).with(ArgFlags::RELEASE)
    }
}
