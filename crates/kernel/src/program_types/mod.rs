//! What the kernel does for each program type: its context's own layout, test runs, hook points.
//! The rules that programs must keep stand in [`panal_uapi::program_types`].

pub(crate) mod lwt;
pub(crate) mod netfilter;
pub(crate) mod plain;
pub(crate) mod skb;
pub(crate) mod tracing;
pub(crate) mod xdp;

use panal_isa::Size;
use panal_uapi::{
    ProgType,
    kernel::{AttachTarget, Failure, TestRun, TestRunResult},
};
use panal_vm::ContextAccess;

use crate::{attach::HookPoint, cpu::Session, kernel::Shared, objects::Program, packet::Kind};

/// What the kernel does for a program type.
pub(crate) struct Behaviour {
    /// How an access to the context is done; `None` where the uapi layout is the kernel's own.
    pub context_access: fn(u32, Size, bool) -> Option<ContextAccess>,
    /// `BPF_PROG_TEST_RUN`
    pub test_run: Option<TestRunFn>,
    /// Where a program hangs that is attached to a target; `None` when it cannot be.
    pub hook_point: fn(&Shared, &Program, &AttachTarget) -> Option<HookPoint>,
}

pub(crate) type TestRunFn =
    fn(&mut Session<'_>, &Program, &TestRun) -> Result<TestRunResult, Failure>;

/// What the kernel does for programs of this type.
pub(crate) fn of(prog_type: ProgType) -> &'static Behaviour {
    match prog_type {
        ProgType::Xdp => &xdp::XDP,
        ProgType::SchedCls | ProgType::SchedAct => &skb::SCHED,
        ProgType::SocketFilter => &skb::SOCKET_FILTER,
        ProgType::CgroupSkb => &skb::CGROUP_SKB,
        ProgType::LwtIn | ProgType::LwtOut | ProgType::LwtXmit | ProgType::LwtSeg6local => {
            &lwt::LWT
        }
        ProgType::Netfilter => &netfilter::NETFILTER,
        ProgType::Tracepoint => &tracing::TRACEPOINT,
        ProgType::RawTracepoint | ProgType::RawTracepointWritable => &tracing::RAW_TRACEPOINT,
        ProgType::Tracing => &tracing::TRACING,
        ProgType::Lsm => &tracing::LSM,
        ProgType::Kprobe => &plain::KPROBE,
        ProgType::Syscall => &plain::SYSCALL,
        ProgType::CgroupSock
        | ProgType::CgroupSockAddr
        | ProgType::CgroupDevice
        | ProgType::CgroupSysctl
        | ProgType::CgroupSockopt
        | ProgType::SockOps => &plain::CGROUP,
        _ => &plain::OTHER,
    }
}

/// The kind of context that programs of a type have, if it describes a packet.
pub(crate) fn context_kind(prog_type: ProgType) -> Option<Kind> {
    match prog_type {
        ProgType::Xdp => Some(Kind::Xdp),
        ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::SocketFilter
        | ProgType::CgroupSkb
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::LwtSeg6local => Some(Kind::Skb),
        _ => None,
    }
}

/// Where the pointers to a packet's data, end and metadata stand in the kernel's own context: right
/// after the uapi's structure.
pub(crate) fn pointers_at(kind: Kind) -> usize {
    match kind {
        Kind::Xdp => xdp::SIZE,
        Kind::Skb => skb::SIZE,
    }
}

/// Bytes that the largest packet context takes.
pub(crate) const CONTEXT_SIZE: usize = skb::SIZE + 3 * 8;

pub(crate) use skb::LEN as SKB_LEN;

/// A context that has the uapi's layout.
pub(crate) fn no_translation(_: u32, _: Size, _: bool) -> Option<ContextAccess> {
    None
}

/// A program that nothing can be done with but to verify it.
pub(crate) fn no_hook(_: &Shared, _: &Program, _: &AttachTarget) -> Option<HookPoint> {
    None
}

/// A test run that was asked for wrongly.
pub(crate) fn refuse(errno: panal_uapi::Errno, detail: impl Into<String>) -> Failure {
    Failure {
        command: "BPF_PROG_TEST_RUN",
        errno,
        detail: detail.into(),
    }
}

/// `BPF_F_TEST_RUN_ON_CPU`
pub(crate) const RUN_ON_CPU: u32 = 1;
/// `BPF_F_TEST_XDP_LIVE_FRAMES`
pub(crate) const LIVE_FRAMES: u32 = 2;
