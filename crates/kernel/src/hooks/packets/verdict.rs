//! What a program's return value means for its packet, by program type.

use panal_uapi::ProgType;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It is dropped.
    Drop,
    /// It is dropped because the program gave up (`XDP_ABORTED`), returned what means nothing, or
    /// was stopped.
    Aborted,
    /// It is sent back out of the port that it came from (`XDP_TX`).
    Transmit,
    /// It is sent elsewhere.
    Redirect,
    /// Somebody took it over (`TC_ACT_STOLEN` and its like).
    Taken,
}

impl Verdict {
    /// Whether the packet lives on.
    pub fn is_forwarded(self) -> bool {
        matches!(self, Verdict::Pass | Verdict::Transmit | Verdict::Redirect)
    }
}

/// A return value's meaning: verdict, name, and how many bytes of the packet are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub verdict: Verdict,
    pub name: &'static str,
    pub keep: Option<u32>,
}

const fn meaning(verdict: Verdict, name: &'static str) -> Meaning {
    Meaning {
        verdict,
        name,
        keep: None,
    }
}

/// A run that was stopped.
pub(super) const STOPPED: Meaning = meaning(Verdict::Aborted, "stopped");

/// What a program type makes of its return values; `None` for types that have nothing to do with
/// packets.
pub(super) fn meanings(prog_type: ProgType) -> Option<fn(u32) -> Meaning> {
    match prog_type {
        ProgType::Xdp => Some(xdp),
        ProgType::SchedCls | ProgType::SchedAct => Some(sched),
        ProgType::SocketFilter => Some(socket_filter),
        ProgType::CgroupSkb => Some(cgroup_skb),
        _ => None,
    }
}

fn xdp(value: u32) -> Meaning {
    match value {
        0 => meaning(Verdict::Aborted, "XDP_ABORTED"),
        1 => meaning(Verdict::Drop, "XDP_DROP"),
        2 => meaning(Verdict::Pass, "XDP_PASS"),
        3 => meaning(Verdict::Transmit, "XDP_TX"),
        4 => meaning(Verdict::Redirect, "XDP_REDIRECT"),
        _ => meaning(Verdict::Aborted, "invalid"),
    }
}

/// Direct action: what the program returns is what is done.
fn sched(value: u32) -> Meaning {
    match value as i32 {
        -1 => meaning(Verdict::Pass, "TC_ACT_UNSPEC"),
        0 => meaning(Verdict::Pass, "TC_ACT_OK"),
        1 => meaning(Verdict::Pass, "TC_ACT_RECLASSIFY"),
        2 => meaning(Verdict::Drop, "TC_ACT_SHOT"),
        3 => meaning(Verdict::Pass, "TC_ACT_PIPE"),
        4 => meaning(Verdict::Taken, "TC_ACT_STOLEN"),
        5 => meaning(Verdict::Taken, "TC_ACT_QUEUED"),
        6 => meaning(Verdict::Taken, "TC_ACT_REPEAT"),
        7 => meaning(Verdict::Redirect, "TC_ACT_REDIRECT"),
        8 => meaning(Verdict::Taken, "TC_ACT_TRAP"),
        // The classifier takes what it does not know for TC_ACT_UNSPEC.
        _ => meaning(Verdict::Pass, "TC_ACT_UNSPEC"),
    }
}

/// The value is how many bytes the socket gets.
fn socket_filter(value: u32) -> Meaning {
    match value {
        0 => meaning(Verdict::Drop, "drop"),
        keep => Meaning {
            keep: Some(keep),
            ..meaning(Verdict::Pass, "keep")
        },
    }
}

/// The lowest bit says whether it goes on.
fn cgroup_skb(value: u32) -> Meaning {
    if value & 1 == 1 {
        meaning(Verdict::Pass, "pass")
    } else {
        meaning(Verdict::Drop, "drop")
    }
}
