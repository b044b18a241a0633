//! Program types as data: context, helpers, return values, what else they may do.
//!
//! One file per type or close family. Where a rule depends on the attach type, privilege or kernel
//! version, it carries a [`When`].

pub mod arguments;
mod base;
mod cgroup_device;
mod cgroup_skb;
mod cgroup_sock;
mod cgroup_sock_addr;
mod cgroup_sockopt;
mod cgroup_sysctl;
mod context;
mod flow_dissector;
mod kprobe;
mod lirc_mode2;
mod lsm;
pub mod lsm_hooks;
mod lwt;
mod netfilter;
mod perf_event;
mod raw_tracepoint;
mod sched;
mod sk_buff;
mod sk_lookup;
mod sk_msg;
mod sk_reuseport;
mod sk_skb;
mod sock_ops;
mod socket_filter;
pub mod sockets;
mod struct_ops;
mod syscall;
mod tracepoint;
mod tracing;
mod xdp;

pub use context::{
    Access, Field, FieldKind, FieldRule, FieldSet, Fields, Layout, Situation, Sizes, When,
};

use crate::{ProgType, helpers::HelperSet};

/// How a program sees its context.
#[derive(Clone, Copy, Debug)]
pub enum Context {
    /// A uapi structure.
    Fields(Fields),
    /// An array of 8-byte arguments whose types the function's prototype in BTF gives.
    Arguments,
    /// As the program that it replaces.
    OfTarget,
}

/// How packet bytes may be accessed through pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketAccess {
    /// Not at all.
    None,
    /// Read.
    Read,
    /// Read and written.
    ReadWrite,
}

/// Whether programs of a type may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleepable {
    /// Never.
    Never,
    /// Where the loader asks for it and the attach point allows it.
    Possible,
    /// Always: they must be loaded as sleepable.
    Always,
}

/// Helpers that may be called, under a condition.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// Which.
    pub helpers: HelperSet,
    /// When.
    pub when: When,
}

/// What a program may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// A number from the first to the second, both included.
    Range(i32, i32),
    /// Any number.
    Any,
    /// What the function that it is attached to may return, by the hook's own rules.
    OfHook,
}

/// Sets of kfuncs (`enum btf_kfunc_hook`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // named as in the kernel
pub enum KfuncHook {
    Common,
    Xdp,
    Tc,
    StructOps,
    Tracing,
    Syscall,
    FmodRet,
    Cgroup,
    SchedAct,
    SkSkb,
    SocketFilter,
    Lwt,
    Netfilter,
    Kprobe,
}

/// The rules of a program type.
#[derive(Clone, Copy, Debug)]
pub struct ProgramType {
    /// Which.
    pub prog_type: ProgType,
    /// Its context.
    pub context: Context,
    /// The helpers that it may call.
    pub helpers: &'static [Grant],
    /// What it may return; the first rule that holds counts.
    pub returns: &'static [(When, Returns)],
    /// Whether it may sleep.
    pub sleepable: Sleepable,
    /// Direct access to the packet.
    pub packet: PacketAccess,
    /// Whether it may use the `ABS` and `IND` loads of classic BPF.
    pub packet_loads: bool,
    /// The kfuncs that it may call beside the common ones.
    pub kfuncs: Option<KfuncHook>,
}

impl ProgramType {
    /// Whether it may call a helper.
    pub fn allows_helper(&self, id: u32, situation: &Situation) -> bool {
        self.helpers
            .iter()
            .any(|grant| grant.helpers.contains(id) && grant.when.holds(situation))
    }

    /// What it may return.
    pub fn returns(&self, situation: &Situation) -> Returns {
        self.returns
            .iter()
            .find(|(when, _)| when.holds(situation))
            .map_or(Returns::Any, |&(_, returns)| returns)
    }
}

static ALL: [ProgramType; 32] = [
    socket_filter::SOCKET_FILTER,
    kprobe::KPROBE,
    sched::SCHED_CLS,
    sched::SCHED_ACT,
    tracepoint::TRACEPOINT,
    xdp::XDP,
    perf_event::PERF_EVENT,
    cgroup_skb::CGROUP_SKB,
    cgroup_sock::CGROUP_SOCK,
    lwt::LWT_IN,
    lwt::LWT_OUT,
    lwt::LWT_XMIT,
    sock_ops::SOCK_OPS,
    sk_skb::SK_SKB,
    cgroup_device::CGROUP_DEVICE,
    sk_msg::SK_MSG,
    raw_tracepoint::RAW_TRACEPOINT,
    cgroup_sock_addr::CGROUP_SOCK_ADDR,
    lwt::LWT_SEG6LOCAL,
    lirc_mode2::LIRC_MODE2,
    sk_reuseport::SK_REUSEPORT,
    flow_dissector::FLOW_DISSECTOR,
    cgroup_sysctl::CGROUP_SYSCTL,
    raw_tracepoint::RAW_TRACEPOINT_WRITABLE,
    cgroup_sockopt::CGROUP_SOCKOPT,
    tracing::TRACE,
    struct_ops::STRUCT_OPS,
    tracing::EXT,
    lsm::LSM,
    sk_lookup::SK_LOOKUP,
    syscall::SYSCALL,
    netfilter::NETFILTER,
];

/// The rules of a program type; `None` for [`ProgType::Unspec`].
pub fn by_type(prog_type: ProgType) -> Option<&'static ProgramType> {
    let index = (prog_type.number() as usize).checked_sub(1)?;
    ALL.get(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_stands_at_its_number() {
        for &prog_type in ProgType::ALL {
            let rules = by_type(prog_type);
            assert_eq!(
                rules.map(|r| r.prog_type),
                Some(prog_type).filter(|t| *t != ProgType::Unspec)
            );
        }
    }

    #[test]
    fn fields_lie_in_their_structure() {
        for rules in &ALL {
            if let Context::Fields(fields) = rules.context {
                for field in fields.layout.fields {
                    assert!(
                        field.offset + field.size <= fields.layout.size,
                        "{}",
                        field.name
                    );
                }
            }
        }
    }
}
