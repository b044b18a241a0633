//! Fields of kernel structures that are known to lead to living objects.

/// How far the pointer in a field may be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safe {
    /// In an RCU section.
    Rcu,
    /// In an RCU section, if it is not null.
    RcuOrNull,
    /// Wherever its owner is trusted.
    Trusted,
    /// The same, if it is not null.
    TrustedOrNull,
}

const FIELDS: &[(&str, Safe, &[&str])] = &[
    (
        "task_struct",
        Safe::Rcu,
        &["cpus_ptr", "cgroups", "real_parent", "group_leader"],
    ),
    ("cgroup", Safe::Rcu, &["kn"]),
    ("css_set", Safe::Rcu, &["dfl_cgrp"]),
    ("cgroup_subsys_state", Safe::Rcu, &["cgroup"]),
    ("mm_struct", Safe::RcuOrNull, &["exe_file", "owner"]),
    ("sk_buff", Safe::RcuOrNull, &["sk"]),
    ("request_sock", Safe::RcuOrNull, &["sk"]),
    ("bpf_iter_meta", Safe::Trusted, &["seq"]),
    ("bpf_iter__task", Safe::Trusted, &["meta", "task"]),
    ("linux_binprm", Safe::Trusted, &["file"]),
    ("file", Safe::Trusted, &["f_inode"]),
    ("dentry", Safe::TrustedOrNull, &["d_inode"]),
    ("socket", Safe::TrustedOrNull, &["sk"]),
];

/// What is known of a field of a kernel structure.
pub fn find(owner: &str, member: &str) -> Option<Safe> {
    FIELDS
        .iter()
        .find(|(name, _, fields)| *name == owner && fields.contains(&member))
        .map(|(_, safe, _)| *safe)
}
