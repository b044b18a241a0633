//! Helpers that many program types share.

use super::{Grant, When};
use crate::helpers::{HelperSet, id::*};

/// For every program, unprivileged ones too.
const EVERYBODY: HelperSet = HelperSet::of(&[
    BPF_FUNC_map_lookup_elem,
    BPF_FUNC_map_update_elem,
    BPF_FUNC_map_delete_elem,
    BPF_FUNC_map_push_elem,
    BPF_FUNC_map_pop_elem,
    BPF_FUNC_map_peek_elem,
    BPF_FUNC_map_lookup_percpu_elem,
    BPF_FUNC_get_prandom_u32,
    BPF_FUNC_get_smp_processor_id,
    BPF_FUNC_get_numa_node_id,
    BPF_FUNC_tail_call,
    BPF_FUNC_ktime_get_ns,
    BPF_FUNC_ktime_get_boot_ns,
    BPF_FUNC_ktime_get_tai_ns,
    BPF_FUNC_ringbuf_output,
    BPF_FUNC_ringbuf_reserve,
    BPF_FUNC_ringbuf_submit,
    BPF_FUNC_ringbuf_discard,
    BPF_FUNC_ringbuf_query,
    BPF_FUNC_strncmp,
    BPF_FUNC_strtol,
    BPF_FUNC_strtoul,
    BPF_FUNC_get_current_pid_tgid,
    BPF_FUNC_get_ns_current_pid_tgid,
]);

/// For every program that a loader with `CAP_BPF` loads.
const CAPABLE: HelperSet = HelperSet::of(&[
    BPF_FUNC_spin_lock,
    BPF_FUNC_spin_unlock,
    BPF_FUNC_jiffies64,
    BPF_FUNC_per_cpu_ptr,
    BPF_FUNC_this_cpu_ptr,
    BPF_FUNC_timer_init,
    BPF_FUNC_timer_set_callback,
    BPF_FUNC_timer_start,
    BPF_FUNC_timer_cancel,
    BPF_FUNC_kptr_xchg,
    BPF_FUNC_for_each_map_elem,
    BPF_FUNC_loop,
    BPF_FUNC_user_ringbuf_drain,
    BPF_FUNC_ringbuf_reserve_dynptr,
    BPF_FUNC_ringbuf_submit_dynptr,
    BPF_FUNC_ringbuf_discard_dynptr,
    BPF_FUNC_dynptr_from_mem,
    BPF_FUNC_dynptr_read,
    BPF_FUNC_dynptr_write,
    BPF_FUNC_dynptr_data,
    BPF_FUNC_cgrp_storage_get,
    BPF_FUNC_cgrp_storage_delete,
    BPF_FUNC_get_current_cgroup_id,
    BPF_FUNC_get_current_ancestor_cgroup_id,
]);

/// For every program that a loader with `CAP_PERFMON` loads.
const PERFMON: HelperSet = HelperSet::of(&[
    BPF_FUNC_trace_printk,
    BPF_FUNC_get_current_task,
    BPF_FUNC_get_current_task_btf,
    BPF_FUNC_probe_read_user,
    BPF_FUNC_probe_read_kernel,
    BPF_FUNC_probe_read_user_str,
    BPF_FUNC_probe_read_kernel_str,
    BPF_FUNC_snprintf_btf,
    BPF_FUNC_snprintf,
    BPF_FUNC_task_pt_regs,
    BPF_FUNC_trace_vprintk,
]);

/// What Linux 6.16 moved from the tracing types to every program.
const MOVED: HelperSet = HelperSet::of(&[
    BPF_FUNC_get_current_uid_gid,
    BPF_FUNC_get_current_comm,
    BPF_FUNC_get_cgroup_classid,
    BPF_FUNC_perf_event_read,
    BPF_FUNC_current_task_under_cgroup,
    BPF_FUNC_perf_event_read_value,
    BPF_FUNC_send_signal,
    BPF_FUNC_send_signal_thread,
    BPF_FUNC_get_task_stack,
    BPF_FUNC_copy_from_user,
    BPF_FUNC_task_storage_get,
    BPF_FUNC_task_storage_delete,
    BPF_FUNC_get_branch_snapshot,
    BPF_FUNC_find_vma,
    BPF_FUNC_copy_from_user_task,
]);

pub(super) const fn grant(helpers: HelperSet) -> Grant {
    Grant {
        helpers,
        when: When::Always,
    }
}

/// The base set.
pub(super) const FOR_ALL: Grant = grant(EVERYBODY);
pub(super) const FOR_CAPABLE: Grant = Grant {
    helpers: CAPABLE,
    when: When::Bpf,
};
pub(super) const FOR_PERFMON: Grant = Grant {
    helpers: PERFMON,
    when: When::Perfmon,
};
pub(super) const FOR_ALL_SINCE_6_16: Grant = Grant {
    helpers: MOVED,
    when: When::Since(6, 16),
};

/// What tracing types have beyond the base set, on any kernel.
pub(super) const TRACING: HelperSet = MOVED.union(HelperSet::of(&[
    BPF_FUNC_probe_read,
    BPF_FUNC_probe_read_str,
    BPF_FUNC_probe_write_user,
    BPF_FUNC_perf_event_output,
    BPF_FUNC_get_stackid,
    BPF_FUNC_get_stack,
    BPF_FUNC_get_func_ip,
    BPF_FUNC_get_attach_cookie,
]));

/// Casts of sockets to kernel types, and the coarse clock: for all networking types.
pub(super) const SOCKET_CASTS: HelperSet = HelperSet::of(&[
    BPF_FUNC_skc_to_tcp6_sock,
    BPF_FUNC_skc_to_tcp_sock,
    BPF_FUNC_skc_to_tcp_timewait_sock,
    BPF_FUNC_skc_to_tcp_request_sock,
    BPF_FUNC_skc_to_udp6_sock,
    BPF_FUNC_skc_to_unix_sock,
    BPF_FUNC_skc_to_mptcp_sock,
    BPF_FUNC_ktime_get_coarse_ns,
]);

/// Base set and more, in one list.
macro_rules! with_base {
    ($($more:expr),* $(,)?) => {
        &[
            $crate::program_types::base::FOR_ALL,
            $crate::program_types::base::FOR_CAPABLE,
            $crate::program_types::base::FOR_PERFMON,
            $crate::program_types::base::FOR_ALL_SINCE_6_16,
            $($more),*
        ]
    };
}
pub(super) use with_base;
