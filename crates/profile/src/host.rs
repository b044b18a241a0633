//! Settings of the running Linux that are no matter of bpf(2): its configuration and sysctls.

use std::{collections::BTreeMap, fs};

use miniz_oxide::inflate::decompress_to_vec_with_limit;
use panal_uapi::Capabilities;

/// Settings that matter to programs, below `/proc/sys`.
pub const SYSCTLS: &[&str] = &[
    "kernel/unprivileged_bpf_disabled",
    "kernel/bpf_stats_enabled",
    "kernel/perf_event_paranoid",
    "net/core/bpf_jit_enable",
    "net/core/bpf_jit_harden",
    "net/core/bpf_jit_kallsyms",
    "net/core/bpf_jit_limit",
];

/// Options that decide what programs find.
pub const CONFIG: &[&str] = &[
    "CONFIG_BPF",
    "CONFIG_BPF_SYSCALL",
    "CONFIG_HAVE_EBPF_JIT",
    "CONFIG_BPF_JIT",
    "CONFIG_BPF_JIT_ALWAYS_ON",
    "CONFIG_BPF_LSM",
    "CONFIG_BPF_UNPRIV_DEFAULT_OFF",
    "CONFIG_DEBUG_INFO_BTF",
    "CONFIG_DEBUG_INFO_BTF_MODULES",
    "CONFIG_CGROUPS",
    "CONFIG_CGROUP_BPF",
    "CONFIG_CGROUP_NET_CLASSID",
    "CONFIG_SOCK_CGROUP_DATA",
    "CONFIG_BPF_EVENTS",
    "CONFIG_KPROBE_EVENTS",
    "CONFIG_UPROBE_EVENTS",
    "CONFIG_TRACING",
    "CONFIG_FTRACE_SYSCALLS",
    "CONFIG_FPROBE",
    "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
    "CONFIG_FUNCTION_ERROR_INJECTION",
    "CONFIG_BPF_KPROBE_OVERRIDE",
    "CONFIG_SCHED_CLASS_EXT",
    "CONFIG_NET",
    "CONFIG_XDP_SOCKETS",
    "CONFIG_LWTUNNEL_BPF",
    "CONFIG_NET_ACT_BPF",
    "CONFIG_NET_CLS_BPF",
    "CONFIG_NET_CLS_ACT",
    "CONFIG_NET_SCH_INGRESS",
    "CONFIG_NETKIT",
    "CONFIG_XFRM",
    "CONFIG_IP_ROUTE_CLASSID",
    "CONFIG_IPV6_SEG6_BPF",
    "CONFIG_BPF_LIRC_MODE2",
    "CONFIG_BPF_STREAM_PARSER",
    "CONFIG_NETFILTER_BPF_LINK",
    "CONFIG_NETFILTER_XT_MATCH_BPF",
    "CONFIG_BPFILTER",
    "CONFIG_BPFILTER_UMH",
    "CONFIG_TEST_BPF",
    "CONFIG_HZ",
];

/// A configuration is far smaller.
const LARGEST_CONFIG: usize = 16 << 20;

/// A setting as a number.
pub fn sysctl(name: &str) -> Option<i64> {
    let text = fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
    text.trim().parse().ok()
}

/// The options of [`CONFIG`], from where this system keeps its kernel's configuration; `None` where
/// it keeps none.
pub fn config() -> Option<BTreeMap<String, Option<String>>> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let text = fs::read_to_string(format!("/boot/config-{}", release.trim()))
        .ok()
        .or_else(packed_config)?;
    let set: BTreeMap<&str, &str> = text.lines().filter_map(|l| l.split_once('=')).collect();
    let value = |name: &&str| set.get(*name).map(|value| (*value).to_owned());
    Some(CONFIG.iter().map(|n| ((*n).to_owned(), value(n))).collect())
}

/// `/proc/config.gz`: a gzip header of ten bytes, as the kernel's build writes it, without a name.
fn packed_config() -> Option<String> {
    let bytes = fs::read("/proc/config.gz").ok()?;
    let packed = bytes.strip_prefix(&[0x1f, 0x8b, 8, 0])?.get(6..)?;
    let text = decompress_to_vec_with_limit(packed, LARGEST_CONFIG).ok()?;
    String::from_utf8(text).ok()
}

/// What this process may do with bpf(2): its effective capabilities.
pub fn capabilities() -> Capabilities {
    const SYS_ADMIN: u32 = 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    let bits = line
        .and_then(|text| u64::from_str_radix(text.trim(), 16).ok())
        .unwrap_or_default();
    let has = |bit: u32| bits >> bit & 1 == 1;
    if has(SYS_ADMIN) {
        return Capabilities::all();
    }
    let mut all = Capabilities::empty();
    all.set(Capabilities::NET_ADMIN, has(12));
    all.set(Capabilities::PERFMON, has(38));
    all.set(Capabilities::BPF, has(39));
    all
}
