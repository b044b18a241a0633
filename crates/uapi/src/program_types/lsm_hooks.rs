//! Rules of LSM hooks, by their names without `bpf_lsm_`.

/// No program may be attached here.
const DISABLED: &[&str] = &[
    "audit_rule_match",
    "getprocattr",
    "getselfattr",
    "inode_copy_up_xattr",
    "inode_getsecurity",
    "inode_listsecurity",
    "inode_need_killpriv",
    "ismaclabel",
    "key_getsecurity",
    "setprocattr",
    "vm_enough_memory",
    "xfrm_decode_session",
];

/// Programs may sleep here.
const SLEEPABLE: &[&str] = &[
    "bpf",
    "bpf_map",
    "bpf_map_create",
    "bpf_map_free",
    "bpf_prog",
    "bpf_prog_load",
    "bpf_token_capable",
    "bpf_token_cmd",
    "bpf_token_create",
    "bpf_token_free",
    "bprm_check_security",
    "bprm_committed_creds",
    "bprm_committing_creds",
    "bprm_creds_for_exec",
    "bprm_creds_from_file",
    "capget",
    "capset",
    "cred_prepare",
    "current_getsecid_subj",
    "file_ioctl",
    "file_lock",
    "file_open",
    "file_post_open",
    "file_receive",
    "inode_create",
    "inode_free_security",
    "inode_getattr",
    "inode_getxattr",
    "inode_mknod",
    "inode_need_killpriv",
    "inode_post_setxattr",
    "inode_readlink",
    "inode_rename",
    "inode_rmdir",
    "inode_setattr",
    "inode_setxattr",
    "inode_symlink",
    "inode_unlink",
    "kernel_module_request",
    "kernel_read_file",
    "kernfs_init_security",
    "mmap_file",
    "netlink_send",
    "path_chmod",
    "path_chown",
    "path_link",
    "path_mkdir",
    "path_notify",
    "path_rename",
    "path_rmdir",
    "path_symlink",
    "path_truncate",
    "path_unlink",
    "release_secctx",
    "sb_alloc_security",
    "sb_eat_lsm_opts",
    "sb_kern_mount",
    "sb_mount",
    "sb_remount",
    "sb_set_mnt_opts",
    "sb_show_options",
    "sb_statfs",
    "sb_umount",
    "settime",
    "socket_accept",
    "socket_bind",
    "socket_connect",
    "socket_create",
    "socket_getpeername",
    "socket_getpeersec_dgram",
    "socket_getsockname",
    "socket_getsockopt",
    "socket_listen",
    "socket_post_create",
    "socket_recvmsg",
    "socket_sendmsg",
    "socket_shutdown",
    "socket_socketpair",
    "syslog",
    "task_alloc",
    "task_getsecid_obj",
    "task_prctl",
    "task_setscheduler",
    "userns_create",
];

/// Objects are half made or half gone here.
const UNTRUSTED: &[&str] = &[
    "bpf_map_free",
    "bpf_prog_free",
    "file_alloc_security",
    "file_free_security",
    "sk_alloc_security",
    "sk_free_security",
    "task_free",
];

/// The hook answers 0 or 1.
const BOOL: &[&str] = &[
    "audit_rule_known",
    "inode_xattr_skipcap",
    "xfrm_state_pol_flow_match",
];

/// Cgroup programs may use socket options here.
const SOCKET_OPTIONS: &[&str] = &[
    "inet_conn_established",
    "inet_csk_clone",
    "sock_graft",
    "socket_post_create",
    "socket_socketpair",
];

fn listed(list: &[&str], function: &str) -> bool {
    list.contains(&function.strip_prefix("bpf_lsm_").unwrap_or(function))
}

/// Whether no program may be attached to the hook; `function` is `bpf_lsm_NAME` or `NAME`.
pub fn is_disabled(function: &str) -> bool {
    listed(DISABLED, function)
}

/// Whether programs may sleep there.
pub fn is_sleepable(function: &str) -> bool {
    listed(SLEEPABLE, function)
}

/// Whether the arguments may be passed on to helpers and kfuncs.
pub fn is_trusted(function: &str) -> bool {
    !listed(UNTRUSTED, function)
}

/// Whether the hook answers 0 or 1 rather than an errno.
pub fn is_bool(function: &str) -> bool {
    listed(BOOL, function)
}

/// Whether cgroup programs may use socket options there.
pub fn allows_socket_options(function: &str) -> bool {
    listed(SOCKET_OPTIONS, function)
}
