//! The kinds of places where programs hang.

use std::fmt;

use panal_uapi::{AttachType, ProgType};

use crate::ProgramPlan;

/// The kind of place that a program's type has, when its section names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A network interface: XDP.
    Interface,
    /// A network interface: tc.
    Classifier,
    /// A network interface or a socket.
    SocketFilter,
    /// A socket of a `SO_REUSEPORT` group.
    Reuseport,
    /// A map of sockets.
    SocketMap,
    /// A cgroup.
    Cgroup,
    /// A network namespace.
    NetNamespace,
    /// A netfilter hook.
    Netfilter,
    /// A route by a network interface.
    Route,
    /// Something else, in words.
    Other(&'static str),
}

impl Place {
    /// What has to be named for a program.
    pub fn of(plan: &ProgramPlan) -> Place {
        use ProgType::*;
        match plan.prog_type {
            Some(Xdp) => Place::Interface,
            Some(SchedCls) => Place::Classifier,
            Some(SocketFilter) => Place::SocketFilter,
            Some(SkReuseport) => Place::Reuseport,
            Some(SkSkb | SkMsg) => Place::SocketMap,
            Some(
                CgroupSkb | CgroupSock | CgroupSockAddr | CgroupSockopt | CgroupSysctl
                | CgroupDevice | SockOps,
            ) => Place::Cgroup,
            Some(Lsm) if plan.attach_type == Some(AttachType::LsmCgroup) => Place::Cgroup,
            Some(SkLookup | FlowDissector) => Place::NetNamespace,
            Some(Netfilter) => Place::Netfilter,
            Some(LwtIn | LwtOut | LwtXmit | LwtSeg6local) => Place::Route,
            Some(Kprobe | Tracepoint | RawTracepoint | RawTracepointWritable) => {
                Place::Other("an event")
            }
            Some(SchedAct) => Place::Other("a tc filter whose action it is"),
            Some(PerfEvent) => Place::Other("a sampling frequency"),
            Some(Syscall) => Place::Other("nothing (it is run, not attached)"),
            _ => Place::Other("a target"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Interface | Place::Classifier => "a network interface",
            Place::SocketFilter => "a network interface or a socket",
            Place::Reuseport => "a socket",
            Place::SocketMap => "one of the object's maps of sockets",
            Place::Cgroup => "a cgroup",
            Place::NetNamespace => "a network namespace",
            Place::Netfilter => "a netfilter hook",
            Place::Route => "a route by a network interface",
            Place::Other(words) => words,
        })
    }
}
