//! Which kinds of registers an argument accepts.

use alloc::string::String;

use panal_uapi::helpers::{Arg, ArgFlags, ArgKind};

use crate::state::{PtrFlags, RegKind, RegState};

/// A kind of register without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Scalar,
    Ctx,
    Map,
    MapKey,
    MapValue,
    Stack,
    Packet,
    PacketMeta,
    Mem,
    Buf,
    Btf,
    Socket,
    SockCommon,
    TcpSock,
    XdpSock,
    Func,
    Dynptr,
}

impl Base {
    fn of(kind: &RegKind) -> Option<Base> {
        Some(match kind {
            RegKind::Scalar => Base::Scalar,
            RegKind::Context => Base::Ctx,
            RegKind::MapPtr { .. } => Base::Map,
            RegKind::MapKey { .. } => Base::MapKey,
            RegKind::MapValue { .. } => Base::MapValue,
            RegKind::Stack { .. } => Base::Stack,
            RegKind::Packet { .. } => Base::Packet,
            RegKind::PacketMeta { .. } => Base::PacketMeta,
            RegKind::Mem { .. } => Base::Mem,
            RegKind::Buf => Base::Buf,
            RegKind::Btf(_) => Base::Btf,
            RegKind::Socket => Base::Socket,
            RegKind::SockCommon => Base::SockCommon,
            RegKind::TcpSock => Base::TcpSock,
            RegKind::XdpSock => Base::XdpSock,
            RegKind::Func { .. } => Base::Func,
            RegKind::Dynptr { .. } => Base::Dynptr,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Base::Scalar => "scalar",
            Base::Ctx => "ctx",
            Base::Map => "map_ptr",
            Base::MapKey => "map_key",
            Base::MapValue => "map_value",
            Base::Stack => "fp",
            Base::Packet => "pkt",
            Base::PacketMeta => "pkt_meta",
            Base::Mem => "mem",
            Base::Buf => "buf",
            Base::Btf => "ptr_",
            Base::Socket => "sock",
            Base::SockCommon => "sock_common",
            Base::TcpSock => "tcp_sock",
            Base::XdpSock => "xdp_sock",
            Base::Func => "func",
            Base::Dynptr => "dynptr_ptr",
        }
    }
}

type Accepted = (Base, PtrFlags);

const NONE: PtrFlags = PtrFlags::empty();
const TRUSTED: PtrFlags = PtrFlags::TRUSTED;
const RCU: PtrFlags = PtrFlags::RCU;
const ALLOC: PtrFlags = PtrFlags::ALLOC;
const PERCPU: PtrFlags = PtrFlags::PERCPU;

const SOCK: &[Accepted] = &[
    (Base::SockCommon, NONE),
    (Base::Socket, NONE),
    (Base::TcpSock, NONE),
    (Base::XdpSock, NONE),
];
const BTF_SOCK: &[Accepted] = &[
    (Base::SockCommon, NONE),
    (Base::Socket, NONE),
    (Base::TcpSock, NONE),
    (Base::XdpSock, NONE),
    (Base::Btf, NONE),
    (Base::Btf, TRUSTED),
];
const MEM: &[Accepted] = &[
    (Base::Stack, NONE),
    (Base::Packet, NONE),
    (Base::PacketMeta, NONE),
    (Base::MapKey, NONE),
    (Base::MapValue, NONE),
    (Base::Mem, NONE),
    (Base::Mem, PtrFlags::RINGBUF),
    (Base::Buf, NONE),
    (Base::Btf, TRUSTED),
];
const BTF: &[Accepted] = &[(Base::Btf, NONE), (Base::Btf, TRUSTED), (Base::Btf, RCU)];
const PERCPU_BTF: &[Accepted] = &[
    (Base::Btf, PERCPU),
    (Base::Btf, PERCPU.union(RCU)),
    (Base::Btf, PERCPU.union(TRUSTED)),
];
const LOCK: &[Accepted] = &[(Base::MapValue, NONE), (Base::Btf, ALLOC)];
const KPTR_DEST: &[Accepted] = LOCK;
const DYNPTR: &[Accepted] = &[(Base::Stack, NONE), (Base::Dynptr, NONE)];

fn accepted(kind: ArgKind) -> &'static [Accepted] {
    match kind {
        ArgKind::MemSize | ArgKind::MemSizeOrZero | ArgKind::AllocSize => &[(Base::Scalar, NONE)],
        ArgKind::ConstMap => &[(Base::Map, NONE)],
        ArgKind::Ctx => &[(Base::Ctx, NONE)],
        ArgKind::SockCommon => SOCK,
        ArgKind::BtfSockCommon => BTF_SOCK,
        ArgKind::Socket => &[(Base::Socket, NONE)],
        ArgKind::Btf(_) | ArgKind::KptrXchgSource => BTF,
        ArgKind::SpinLock => LOCK,
        ArgKind::Mem | ArgKind::FixedMem(_) | ArgKind::MapKey | ArgKind::MapValue => MEM,
        ArgKind::RingbufMem => &[(Base::Mem, PtrFlags::RINGBUF)],
        ArgKind::PercpuBtf => PERCPU_BTF,
        ArgKind::Func => &[(Base::Func, NONE)],
        ArgKind::Stack => &[(Base::Stack, NONE)],
        ArgKind::ConstStr | ArgKind::Timer => &[(Base::MapValue, NONE)],
        ArgKind::KptrXchgDest => KPTR_DEST,
        ArgKind::Dynptr(_) => DYNPTR,
        ArgKind::Anything => &[],
    }
}

/// Whether an argument accepts this kind of register at all.
pub fn accepts(arg: Arg, reg: &RegState) -> bool {
    let mut flags = reg.flags;
    if arg.flags.contains(ArgFlags::RDONLY) {
        flags -= PtrFlags::RDONLY;
    }
    if arg.flags.contains(ArgFlags::MAYBE_NULL) {
        flags -= PtrFlags::MAYBE_NULL;
    }
    match arg.kind {
        ArgKind::Mem | ArgKind::FixedMem(_) => flags -= PtrFlags::PACKET_SLICE,
        ArgKind::KptrXchgSource if reg.flags.contains(PtrFlags::ALLOC) => {
            flags -= PtrFlags::ALLOC | PtrFlags::PERCPU;
        }
        _ => {}
    }
    Base::of(&reg.kind).is_some_and(|base| accepted(arg.kind).contains(&(base, flags)))
}

/// What an argument accepts, as Linux lists it.
pub fn expected(arg: Arg) -> String {
    let mut list = String::new();
    for (base, flags) in accepted(arg.kind) {
        if !list.is_empty() {
            list.push_str(", ");
        }
        for (flag, prefix) in [
            (PtrFlags::RINGBUF, "ringbuf_"),
            (PERCPU, "percpu_"),
            (RCU, "rcu_"),
            (TRUSTED, "trusted_"),
        ] {
            if flags.contains(flag) {
                list.push_str(prefix);
            }
        }
        list.push_str(base.name());
    }
    list
}

/// Kinds as Linux names them, one or several, for people.
pub fn in_words(names: &str) -> String {
    let kinds = names.split(", ");
    if kinds.clone().count() > 2 && kinds.clone().any(|kind| kind == "fp") {
        return String::from("a pointer to memory (stack, map value, packet, …)");
    }
    let word = |name: &str| match name {
        "scalar" => String::from("a number"),
        "fp" => String::from("a pointer to the stack"),
        "ctx" => String::from("the context"),
        "map_ptr" => String::from("a map"),
        "map_value" => String::from("a pointer into a map value"),
        "map_key" => String::from("a pointer to a map key"),
        "pkt" => String::from("a pointer into the packet"),
        "ringbuf_mem" => String::from("a ring buffer record"),
        "func" => String::from("a function"),
        "sock" => String::from("a socket"),
        other => alloc::format!("`{other}`"),
    };
    let words: alloc::vec::Vec<String> = kinds.map(word).collect();
    words.join(" or ")
}
