//! One register: what kind of value it holds, and what is known of the number in it.

use bitflags::bitflags;
use panal_btf::TypeId;
pub use panal_uapi::helpers::DynptrKind;

use crate::domain::Scalar;

/// A map of the program: index into [`crate::env::Env::maps`] (inner-map templates have entries of
/// their own there; two descriptors of one map are one entry).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapRef(pub u16);

/// Whose BTF a type number belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BtfRef {
    /// The kernel's (`profile.btf`).
    Kernel,
    /// The program's own (`request.types`).
    Program,
    /// That of the program to which this one is tied.
    Target,
}

/// A type, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BtfType {
    /// Whose.
    pub btf: BtfRef,
    /// Which.
    pub id: TypeId,
}

/// Where an iterator on the stack is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IterState {
    /// Made, `next` may be called.
    Active,
    /// `next` returned null.
    Drained,
}

/// Kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegKind {
    /// Never written, or clobbered by a call.
    NotInit,
    /// A number.
    Scalar,
    /// The program's context.
    Context,
    /// A map itself.
    MapPtr {
        /// Which.
        map: MapRef,
        /// Distinguishes inner maps that one lookup cannot tell apart; 0 for outer maps.
        uid: u32,
    },
    /// A key handed to a callback.
    MapKey {
        /// Of which map.
        map: MapRef,
        /// As in [`RegKind::MapPtr`].
        uid: u32,
    },
    /// An element of a map.
    MapValue {
        /// Of which map.
        map: MapRef,
        /// As in [`RegKind::MapPtr`].
        uid: u32,
    },
    /// A stack frame; offsets are relative to its upper end.
    Stack {
        /// Which frame: index into [`super::State::frames`].
        frame: u8,
    },
    /// Packet data. `range`: how many bytes from the variable base are known to be there.
    Packet {
        /// Bytes; negative values are [`RegKind::BEYOND_PKT_END`] and [`RegKind::AT_PKT_END`].
        range: i32,
    },
    /// Metadata before the packet.
    PacketMeta {
        /// As in [`RegKind::Packet`].
        range: i32,
    },
    /// End of the packet.
    PacketEnd,
    /// `struct bpf_flow_keys`
    FlowKeys,
    /// `struct bpf_sock`
    Socket,
    /// `struct sock_common` seen as `bpf_sock`
    SockCommon,
    /// `struct bpf_tcp_sock`
    TcpSock,
    /// `struct bpf_xdp_sock`
    XdpSock,
    /// The writable buffer of a raw tracepoint.
    TpBuffer,
    /// An object with BTF.
    Btf(BtfType),
    /// Memory of a known size.
    Mem {
        /// Bytes.
        size: u32,
        /// Id of the dynptr that it is a slice of, 0 otherwise.
        dynptr_id: u32,
    },
    /// A buffer whose size is known only at attach time (iterators).
    Buf,
    /// Arena memory.
    Arena,
    /// A subprogram's address.
    Func {
        /// Index into [`crate::program::Program::subprograms`].
        subprog: u32,
    },
    /// On the stack: half of a dynptr. In a register: a constant pointer to a dynptr that some
    /// caller holds.
    Dynptr {
        /// To what it points.
        kind: DynptrKind,
        /// Whether this is the first (lower) of its two slots.
        first: bool,
    },
    /// On the stack only: a slot of an iterator.
    Iter {
        /// The iterator's type.
        ty: BtfType,
        /// Where it is in its life.
        state: IterState,
        /// How often `next` went on along this path.
        depth: u32,
        /// Whether this is its first (lowest) slot: only that one has the reference id.
        first: bool,
    },
    /// On the stack only: saved IRQ flags.
    IrqFlag {
        /// Whether `bpf_res_spin_lock_irqsave` made them, rather than `bpf_local_irq_save`.
        lock: bool,
    },
}

impl RegKind {
    /// The pointer lies at or beyond the packet's end.
    pub const AT_PKT_END: i32 = -1;
    /// The pointer lies beyond the packet's end.
    pub const BEYOND_PKT_END: i32 = -2;

    /// A number for each kind, whatever the payload; 0 for what was never written.
    pub const fn number(&self) -> u64 {
        match self {
            RegKind::NotInit => 0,
            RegKind::Scalar => 1,
            RegKind::Context => 2,
            RegKind::MapPtr { .. } => 3,
            RegKind::MapKey { .. } => 4,
            RegKind::MapValue { .. } => 5,
            RegKind::Stack { .. } => 6,
            RegKind::Packet { .. } => 7,
            RegKind::PacketMeta { .. } => 8,
            RegKind::PacketEnd => 9,
            RegKind::FlowKeys => 10,
            RegKind::Socket => 11,
            RegKind::SockCommon => 12,
            RegKind::TcpSock => 13,
            RegKind::XdpSock => 14,
            RegKind::TpBuffer => 15,
            RegKind::Btf(_) => 16,
            RegKind::Mem { .. } => 17,
            RegKind::Buf => 18,
            RegKind::Arena => 19,
            RegKind::Func { .. } => 20,
            RegKind::Dynptr { .. } => 21,
            RegKind::Iter { .. } => 22,
            RegKind::IrqFlag { .. } => 23,
        }
    }

    /// Whether this is the same kind of value, whatever the payload.
    pub fn same_kind(&self, other: &RegKind) -> bool {
        core::mem::discriminant(self) == core::mem::discriminant(other)
    }
}

bitflags! {
    /// What else is known of a pointer. Linux's log prints them as prefixes and suffixes of the kind.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PtrFlags: u16 {
        /// May be null (`_or_null`); null checks act on all registers with the same `id`.
        const MAYBE_NULL = 1 << 0;
        /// Must not be written (`rdonly_`).
        const RDONLY = 1 << 1;
        /// A ring buffer record (`ringbuf_`).
        const RINGBUF = 1 << 2;
        /// User-space memory (`user_`).
        const USER = 1 << 3;
        /// Per-CPU memory (`percpu_`).
        const PERCPU = 1 << 4;
        /// May dangle: only probe reads (`untrusted_`).
        const UNTRUSTED = 1 << 5;
        /// Surely alive (`trusted_`).
        const TRUSTED = 1 << 6;
        /// Alive in this RCU section (`rcu_`).
        const RCU = 1 << 7;
        /// A borrowed graph node (`non_own_ref`).
        const NON_OWN_REF = 1 << 8;
        /// Made by `bpf_obj_new` (`ptr_` in program BTF).
        const ALLOC = 1 << 9;
        /// A slice of a packet (from a dynptr): goes when the packet may have moved.
        const PACKET_SLICE = 1 << 10;
    }
}

/// One register, or one spilled register, or one slot of a special object on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegState {
    /// What it holds.
    pub kind: RegKind,
    /// More about pointers; empty for numbers.
    pub flags: PtrFlags,
    /// Pointers: the fixed offset. Numbers: the distance to the others of the same `id`, when
    /// [`RegState::ADD_CONST`] is set in it.
    pub off: i32,
    /// Links registers that hold the same value (numbers), that become non-null together, or that
    /// share a packet range. 0: none.
    pub id: u32,
    /// The reference that keeps it alive. 0: none.
    pub ref_id: u32,
    /// The number; for pointers the variable offset.
    pub num: Scalar,
}

impl RegState {
    /// Flag in `id` of a number: it is the value of the others *plus* `off`.
    pub const ADD_CONST64: u32 = 1 << 31;

    /// The same, of which only the low 32 bits were kept.
    pub const ADD_CONST32: u32 = 1 << 30;

    /// Either.
    pub const ADD_CONST: u32 = Self::ADD_CONST64 | Self::ADD_CONST32;

    /// Unreadable.
    pub const NOT_INIT: RegState = RegState {
        kind: RegKind::NotInit,
        flags: PtrFlags::empty(),
        off: 0,
        id: 0,
        ref_id: 0,
        num: Scalar::UNKNOWN,
    };

    /// Any number.
    pub const UNKNOWN: RegState = RegState {
        kind: RegKind::Scalar,
        ..RegState::NOT_INIT
    };

    /// A known number.
    pub const fn constant(value: u64) -> RegState {
        RegState {
            num: Scalar::constant(value),
            ..RegState::UNKNOWN
        }
    }

    /// A number of which this is known.
    pub const fn scalar(num: Scalar) -> RegState {
        RegState {
            num,
            ..RegState::UNKNOWN
        }
    }

    /// A pointer to the start of something.
    pub const fn pointer(kind: RegKind) -> RegState {
        RegState {
            kind,
            num: Scalar::ZERO,
            ..RegState::NOT_INIT
        }
    }

    /// The same with these flags.
    pub const fn with_flags(self, flags: PtrFlags) -> RegState {
        RegState { flags, ..self }
    }

    /// The same with this id.
    pub const fn with_id(self, id: u32) -> RegState {
        RegState { id, ..self }
    }

    /// The same, kept alive by this reference.
    pub const fn with_ref(self, ref_id: u32) -> RegState {
        RegState { ref_id, ..self }
    }

    /// Whether it is a number.
    pub const fn is_scalar(&self) -> bool {
        matches!(self.kind, RegKind::Scalar)
    }

    /// Whether it holds an address of any kind.
    pub const fn is_pointer(&self) -> bool {
        !matches!(self.kind, RegKind::Scalar | RegKind::NotInit)
    }

    /// The number, if it is a number and known.
    pub const fn as_const(&self) -> Option<u64> {
        if self.is_scalar() {
            self.num.as_const()
        } else {
            None
        }
    }

    /// Whether it is the known number 0.
    pub const fn is_null(&self) -> bool {
        matches!(self.as_const(), Some(0))
    }

    /// Whether it is a pointer that may be null.
    pub const fn may_be_null(&self) -> bool {
        self.flags.contains(PtrFlags::MAYBE_NULL)
    }

    /// Whether it points into a packet, its metadata or to its end.
    pub const fn is_packet(&self) -> bool {
        matches!(
            self.kind,
            RegKind::Packet { .. } | RegKind::PacketMeta { .. } | RegKind::PacketEnd
        )
    }

    /// Whether it goes when the packet may have moved.
    pub const fn lives_with_packet(&self) -> bool {
        self.is_packet() || self.flags.contains(PtrFlags::PACKET_SLICE)
    }
}
