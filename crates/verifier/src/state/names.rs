//! Kinds of values as Linux's log and messages name them.

use alloc::string::String;

use super::{PtrFlags, RegKind, RegState};

impl RegKind {
    /// The name without prefixes and suffixes: `map_value`, `ptr_`, `fp`.
    pub const fn base_name(&self) -> &'static str {
        match self {
            RegKind::NotInit => "?",
            RegKind::Scalar => "scalar",
            RegKind::Context => "ctx",
            RegKind::MapPtr { .. } => "map_ptr",
            RegKind::MapKey { .. } => "map_key",
            RegKind::MapValue { .. } => "map_value",
            RegKind::Stack { .. } => "fp",
            RegKind::Packet { .. } => "pkt",
            RegKind::PacketMeta { .. } => "pkt_meta",
            RegKind::PacketEnd => "pkt_end",
            RegKind::FlowKeys => "flow_keys",
            RegKind::Socket => "sock",
            RegKind::SockCommon => "sock_common",
            RegKind::TcpSock => "tcp_sock",
            RegKind::XdpSock => "xdp_sock",
            RegKind::TpBuffer => "tp_buffer",
            RegKind::Btf(_) => "ptr_",
            RegKind::Mem { .. } => "mem",
            RegKind::Buf => "buf",
            RegKind::Arena => "arena",
            RegKind::Func { .. } => "func",
            RegKind::Dynptr { .. } => "dynptr_ptr",
            RegKind::Iter { .. } => "iter",
            RegKind::IrqFlag { .. } => "irq_flag",
        }
    }
}

/// A kind with its flags: `trusted_ptr_or_null_`, `rdonly_mem`, `map_value_or_null`.
pub fn type_name(kind: &RegKind, flags: PtrFlags) -> String {
    let mut name = String::new();
    for (flag, prefix) in [
        (PtrFlags::RDONLY, "rdonly_"),
        (PtrFlags::RINGBUF, "ringbuf_"),
        (PtrFlags::USER, "user_"),
        (PtrFlags::PERCPU, "percpu_"),
        (PtrFlags::RCU, "rcu_"),
        (PtrFlags::UNTRUSTED, "untrusted_"),
        (PtrFlags::TRUSTED, "trusted_"),
    ] {
        if flags.contains(flag) {
            name.push_str(prefix);
        }
    }
    name.push_str(kind.base_name());
    if flags.contains(PtrFlags::MAYBE_NULL) {
        name.push_str(if matches!(kind, RegKind::Btf(_)) {
            "or_null_"
        } else {
            "_or_null"
        });
    }
    name
}

impl RegState {
    /// The register's kind as Linux names it.
    pub fn type_name(&self) -> String {
        type_name(&self.kind, self.flags)
    }
}
