//! Which capability a request takes, and which of those this process lacks.
//!
//! As Linux 6.18 answered a process without any but those that it was given: maps and programs take
//! CAP_BPF, with CAP_PERFMON for tracing and CAP_NET_ADMIN for the network; CAP_SYS_ADMIN stands
//! for all three in bpf(2).

use std::fs;

use panal_uapi::{AttachType, Errno, MapType, ProgType, kernel::AttachTarget};

/// A capability by the number of its bit (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability(u32, &'static str);

pub const DAC_READ_SEARCH: Capability = Capability(2, "CAP_DAC_READ_SEARCH");
pub const NET_ADMIN: Capability = Capability(12, "CAP_NET_ADMIN");
pub const NET_RAW: Capability = Capability(13, "CAP_NET_RAW");
pub const SYS_ADMIN: Capability = Capability(21, "CAP_SYS_ADMIN");
pub const PERFMON: Capability = Capability(38, "CAP_PERFMON");
pub const BPF: Capability = Capability(39, "CAP_BPF");

/// `CapEff` of this thread.
fn effective() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

impl Capability {
    /// Whether this process has it.
    pub fn is_held(self) -> bool {
        effective() & 1 << self.0 != 0
    }
}

/// Which of these this process lacks, and what to do; `None` when it has all.
pub fn missing(wanted: &[Capability]) -> Option<String> {
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|capability| !capability.is_held())
        .map(|capability| capability.1)
        .collect();
    (!missing.is_empty()).then(|| {
        let names = missing.join(" and ");
        format!("this process lacks {names}: run it as root, or give it what it lacks")
    })
}

/// The same for bpf(2), where CAP_SYS_ADMIN stands for others.
pub fn missing_for_bpf(wanted: &[Capability]) -> Option<String> {
    if SYS_ADMIN.is_held() {
        return None;
    }
    let missing = missing(wanted)?;
    let setting = fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled");
    let Ok(setting) = setting else {
        return Some(missing);
    };
    let setting = setting.trim();
    Some(format!(
        "{missing} (kernel.unprivileged_bpf_disabled is {setting})"
    ))
}

/// What making a map takes.
pub fn of_map(map_type: MapType) -> &'static [Capability] {
    use MapType::{Devmap, DevmapHash, Sockhash, Sockmap, Xskmap};
    match map_type {
        Sockmap | Sockhash | Devmap | DevmapHash | Xskmap => &[BPF, NET_ADMIN],
        _ => &[BPF],
    }
}

/// What loading a program takes.
pub fn of_program(prog_type: Option<ProgType>) -> &'static [Capability] {
    use ProgType::*;
    match prog_type {
        Some(
            Kprobe
            | Tracepoint
            | PerfEvent
            | RawTracepoint
            | RawTracepointWritable
            | Tracing
            | Lsm
            | StructOps,
        ) => &[BPF, PERFMON],
        Some(Ext) => &[BPF, PERFMON, NET_ADMIN],
        Some(SocketFilter | CgroupSkb | SkReuseport | Syscall) | None => &[BPF],
        Some(_) => &[BPF, NET_ADMIN],
    }
}

/// What attaching takes beyond loading, where a right can be missing.
fn of_target(target: &AttachTarget, attach_type: Option<AttachType>) -> &'static [Capability] {
    match target {
        // A packet socket.
        AttachTarget::Interface { .. } if attach_type.is_none() => &[NET_RAW],
        AttachTarget::Interface { .. }
        | AttachTarget::XdpNetlink { .. }
        | AttachTarget::Classifier { .. }
        | AttachTarget::Route { .. }
        | AttachTarget::Cgroup { .. }
        | AttachTarget::NetNamespace(_)
        | AttachTarget::Netfilter { .. }
        | AttachTarget::SocketMap(_) => &[NET_ADMIN],
        AttachTarget::Uprobe { .. } => &[SYS_ADMIN],
        AttachTarget::Kprobe { .. }
        | AttachTarget::KprobeMulti { .. }
        | AttachTarget::UprobeMulti { .. }
        | AttachTarget::PerfSampling { .. }
        | AttachTarget::Tracepoint { .. }
        | AttachTarget::RawTracepoint(_)
        | AttachTarget::AtLoad
        | AttachTarget::Iterator(_)
        | AttachTarget::StructOps => &[PERFMON],
        AttachTarget::Socket(_) | AttachTarget::ReuseportGroup(_) => &[],
    }
}

/// Why attaching was refused with EPERM or EACCES.
pub fn refused(target: &AttachTarget, attach_type: Option<AttachType>, errno: Errno) -> String {
    let wanted = of_target(target, attach_type);
    // Perf events of others take more where the setting says so.
    let stands = |capability: &Capability| {
        let by_admin = [PERFMON, BPF].contains(capability) && SYS_ADMIN.is_held();
        !by_admin
    };
    let wanted: Vec<Capability> = wanted.iter().copied().filter(stands).collect();
    if let Some(missing) = missing(&wanted) {
        return missing;
    }
    match target {
        AttachTarget::Cgroup { .. } if errno == Errno::EPERM => {
            "a cgroup above, or this one, has a program that allows no others: detach it, or take \
             another cgroup"
                .to_owned()
        }
        AttachTarget::Cgroup { .. } => "the cgroup's directory is not readable".to_owned(),
        AttachTarget::Socket(_) | AttachTarget::ReuseportGroup(_) => {
            "the socket's filter is locked (SO_LOCK_FILTER)".to_owned()
        }
        _ => "the kernel refuses it although no capability is missing (lockdown, LSM?)".to_owned(),
    }
}
