//! Kernel interfaces (struct_ops): what each allows its functions beyond the rules of the program
//! type, and the kernel objects of which programs may write fields.

#![allow(non_upper_case_globals)]

use panal_uapi::{ProgType, helpers::HelperSet, helpers::id::*};

/// An interface with rules of its own.
#[derive(Debug)]
pub struct Interface {
    /// `struct NAME`
    name: &'static str,
    /// Members that take no program.
    unsupported: &'static [&'static str],
    /// Members whose programs may sleep; `None`: all.
    sleepable: Option<&'static [&'static str]>,
    /// Helpers that only this interface has; `None`: its programs have none, not even the usual ones.
    helpers: Option<HelperSet>,
}

const TCP_HELPERS: HelperSet = HelperSet::of(&[
    BPF_FUNC_setsockopt,
    BPF_FUNC_getsockopt,
    BPF_FUNC_sk_storage_get,
    BPF_FUNC_sk_storage_delete,
    BPF_FUNC_tcp_send_ack,
    BPF_FUNC_ktime_get_coarse_ns,
]);

const INTERFACES: &[Interface] = &[
    Interface {
        name: "tcp_congestion_ops",
        unsupported: &["get_info"],
        sleepable: None,
        helpers: Some(TCP_HELPERS),
    },
    Interface {
        name: "bpf_dummy_ops",
        unsupported: &[],
        sleepable: Some(&["test_sleepable"]),
        helpers: None,
    },
    Interface {
        name: "hid_bpf_ops",
        unsupported: &[],
        sleepable: Some(&["hid_rdesc_fixup", "hid_hw_request", "hid_hw_output_report"]),
        helpers: Some(HelperSet::EMPTY),
    },
    Interface {
        name: "sched_ext_ops",
        unsupported: &[],
        sleepable: Some(&[
            "init_task",
            "cgroup_init",
            "cgroup_exit",
            "cgroup_prep_move",
            "cpu_online",
            "cpu_offline",
            "init",
            "exit",
        ]),
        helpers: Some(HelperSet::EMPTY),
    },
];

/// Interfaces that are not listed have no rules of their own.
const OTHER: Interface = Interface {
    name: "",
    unsupported: &[],
    sleepable: None,
    helpers: Some(HelperSet::EMPTY),
};

/// The rules of an interface.
pub fn find(name: &str) -> &'static Interface {
    INTERFACES
        .iter()
        .find(|interface| interface.name == name)
        .unwrap_or(&OTHER)
}

impl Interface {
    /// Whether a member takes programs.
    pub fn supports(&self, member: &str) -> bool {
        !self.unsupported.contains(&member)
    }

    /// Whether a member's programs may sleep.
    pub fn may_sleep(&self, member: &str) -> bool {
        self.sleepable.is_none_or(|all| all.contains(&member))
    }

    /// Whether a member's programs may call a helper of those that the program type offers.
    pub fn offers(&self, member: &str, helper: u32) -> bool {
        let Some(own) = self.helpers else {
            return false;
        };
        match helper {
            // A congestion control that is on its way out changes no options.
            BPF_FUNC_setsockopt | BPF_FUNC_getsockopt if member == "release" => false,
            _ => own.contains(helper) || !TCP_HELPERS.contains(helper),
        }
    }
}

/// Fields of a kernel object that programs may write.
#[derive(Debug)]
pub struct Writable {
    /// Names of the object's structs, which are laid out alike; messages name the first.
    pub objects: &'static [&'static str],
    /// The fields; empty: everything.
    pub fields: &'static [&'static str],
    /// Those that may be written in parts.
    pub in_parts: &'static [&'static str],
    /// What is said of another object.
    pub otherwise: &'static str,
}

const ONLY_READ: &str = "only read is supported";

const TCP_SOCK: Writable = Writable {
    objects: &["tcp_sock"],
    fields: &[
        "inet_conn.icsk_inet.sk.sk_pacing_rate",
        "inet_conn.icsk_inet.sk.sk_pacing_status",
        "inet_conn.icsk_ca_priv",
        "inet_conn.icsk_ack.pending",
        "snd_cwnd",
        "snd_cwnd_cnt",
        "snd_cwnd_stamp",
        "snd_ssthresh",
        "ecn_flags",
        "app_limited",
    ],
    in_parts: &["inet_conn.icsk_ca_priv"],
    otherwise: ONLY_READ,
};

const DUMMY_STATE: Writable = Writable {
    objects: &["bpf_dummy_ops_state"],
    fields: &[],
    in_parts: &[],
    otherwise: "only access to bpf_dummy_ops_state is supported",
};

const CONNECTION: Writable = Writable {
    objects: &["nf_conn", "nf_conn___init"],
    fields: &["mark"],
    in_parts: &[],
    otherwise: ONLY_READ,
};

/// What programs of a type, or of an interface, may write.
pub fn writable(prog_type: ProgType, interface: Option<&str>) -> Option<&'static Writable> {
    match (prog_type, interface) {
        (ProgType::StructOps, Some("tcp_congestion_ops")) => Some(&TCP_SOCK),
        (ProgType::StructOps, Some("bpf_dummy_ops")) => Some(&DUMMY_STATE),
        (ProgType::SchedCls | ProgType::SchedAct | ProgType::Xdp, _) => Some(&CONNECTION),
        _ => None,
    }
}
