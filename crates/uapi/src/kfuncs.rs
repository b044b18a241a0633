//! What BTF does not tell of the kernel functions that programs may call (kfuncs of Linux 6.18).
//!
//! Arguments and return types stand in the kernel's BTF; here are the flags with which the kernel
//! registers each function, and for which programs.

use bitflags::bitflags;

use crate::program_types::KfuncHook;

bitflags! {
    /// `KF_*`
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct KfuncFlags: u32 {
        /// Returns a reference.
        const ACQUIRE = 1 << 0;
        /// Gives a reference up.
        const RELEASE = 1 << 1;
        /// May return null.
        const RET_NULL = 1 << 2;
        /// Pointer arguments must be trusted.
        const TRUSTED_ARGS = 1 << 3;
        /// May sleep.
        const SLEEPABLE = 1 << 4;
        /// May take the machine down.
        const DESTRUCTIVE = 1 << 5;
        /// Pointer arguments must be trusted or protected by RCU.
        const RCU = 1 << 6;
        /// Makes an iterator.
        const ITER_NEW = 1 << 7;
        /// Steps an iterator.
        const ITER_NEXT = 1 << 8;
        /// Ends an iterator.
        const ITER_DESTROY = 1 << 9;
        /// Its result is protected by RCU.
        const RCU_PROTECTED = 1 << 10;
    }
}

/// Programs that a function is further restricted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// All of its hooks.
    Any,
    /// Security policies.
    Lsm,
    /// Iterators.
    Iterator,
}

/// A kernel function.
#[derive(Clone, Copy, Debug)]
pub struct Kfunc {
    /// Its name.
    pub name: &'static str,
    /// Its flags.
    pub flags: KfuncFlags,
    /// The program types that may call it.
    pub hooks: &'static [KfuncHook],
    /// A further restriction.
    pub only: Only,
}

/// One flag in the tables.
type F = KfuncFlags;
const ACQUIRE: F = F::ACQUIRE;
const RELEASE: F = F::RELEASE;
const RET_NULL: F = F::RET_NULL;
const TRUSTED_ARGS: F = F::TRUSTED_ARGS;
const SLEEPABLE: F = F::SLEEPABLE;
const RCU: F = F::RCU;
const ITER_NEW: F = F::ITER_NEW;
const ITER_NEXT: F = F::ITER_NEXT;
const ITER_DESTROY: F = F::ITER_DESTROY;
const RCU_PROTECTED: F = F::RCU_PROTECTED;

type Group = (
    &'static [KfuncHook],
    Only,
    &'static [(&'static str, &'static [F])],
);

const GROUPS: &[Group] = &[
    (
        &[KfuncHook::Common],
        Only::Any,
        &[
            ("__bpf_trap", &[]),
            ("bpf_arena_alloc_pages", &[TRUSTED_ARGS, SLEEPABLE]),
            ("bpf_arena_free_pages", &[TRUSTED_ARGS, SLEEPABLE]),
            ("bpf_arena_reserve_pages", &[SLEEPABLE, TRUSTED_ARGS]),
            ("bpf_cast_to_kern_ctx", &[]),
            ("bpf_cgroup_read_xattr", &[RCU]),
            ("bpf_copy_from_user_dynptr", &[SLEEPABLE]),
            ("bpf_copy_from_user_str", &[SLEEPABLE]),
            ("bpf_copy_from_user_str_dynptr", &[SLEEPABLE]),
            ("bpf_copy_from_user_task_dynptr", &[SLEEPABLE, TRUSTED_ARGS]),
            ("bpf_copy_from_user_task_str", &[SLEEPABLE]),
            (
                "bpf_copy_from_user_task_str_dynptr",
                &[SLEEPABLE, TRUSTED_ARGS],
            ),
            ("bpf_dynptr_adjust", &[]),
            ("bpf_dynptr_clone", &[]),
            ("bpf_dynptr_copy", &[]),
            ("bpf_dynptr_is_null", &[]),
            ("bpf_dynptr_is_rdonly", &[]),
            ("bpf_dynptr_memset", &[]),
            ("bpf_dynptr_size", &[]),
            ("bpf_dynptr_slice", &[RET_NULL]),
            ("bpf_dynptr_slice_rdwr", &[RET_NULL]),
            ("bpf_get_kmem_cache", &[]),
            ("bpf_iter_bits_destroy", &[ITER_DESTROY]),
            ("bpf_iter_bits_new", &[ITER_NEW]),
            ("bpf_iter_bits_next", &[ITER_NEXT, RET_NULL]),
            ("bpf_iter_css_destroy", &[ITER_DESTROY]),
            ("bpf_iter_css_new", &[ITER_NEW, TRUSTED_ARGS, RCU_PROTECTED]),
            ("bpf_iter_css_next", &[ITER_NEXT, RET_NULL]),
            ("bpf_iter_css_task_destroy", &[ITER_DESTROY]),
            ("bpf_iter_css_task_new", &[ITER_NEW, TRUSTED_ARGS]),
            ("bpf_iter_css_task_next", &[ITER_NEXT, RET_NULL]),
            ("bpf_iter_dmabuf_destroy", &[ITER_DESTROY, SLEEPABLE]),
            ("bpf_iter_dmabuf_new", &[ITER_NEW, SLEEPABLE]),
            ("bpf_iter_dmabuf_next", &[ITER_NEXT, RET_NULL, SLEEPABLE]),
            ("bpf_iter_kmem_cache_destroy", &[ITER_DESTROY, SLEEPABLE]),
            ("bpf_iter_kmem_cache_new", &[ITER_NEW, SLEEPABLE]),
            (
                "bpf_iter_kmem_cache_next",
                &[ITER_NEXT, RET_NULL, SLEEPABLE],
            ),
            ("bpf_iter_num_destroy", &[ITER_DESTROY]),
            ("bpf_iter_num_new", &[ITER_NEW]),
            ("bpf_iter_num_next", &[ITER_NEXT, RET_NULL]),
            ("bpf_iter_task_destroy", &[ITER_DESTROY]),
            (
                "bpf_iter_task_new",
                &[ITER_NEW, TRUSTED_ARGS, RCU_PROTECTED],
            ),
            ("bpf_iter_task_next", &[ITER_NEXT, RET_NULL]),
            ("bpf_iter_task_vma_destroy", &[ITER_DESTROY]),
            ("bpf_iter_task_vma_new", &[ITER_NEW, RCU]),
            ("bpf_iter_task_vma_next", &[ITER_NEXT, RET_NULL]),
            ("bpf_local_irq_restore", &[]),
            ("bpf_local_irq_save", &[]),
            ("bpf_map_sum_elem_count", &[TRUSTED_ARGS]),
            ("bpf_modify_return_test_tp", &[]),
            ("bpf_preempt_disable", &[]),
            ("bpf_preempt_enable", &[]),
            ("bpf_probe_read_kernel_dynptr", &[]),
            ("bpf_probe_read_kernel_str_dynptr", &[]),
            ("bpf_probe_read_user_dynptr", &[]),
            ("bpf_probe_read_user_str_dynptr", &[]),
            ("bpf_rcu_read_lock", &[]),
            ("bpf_rcu_read_unlock", &[]),
            ("bpf_rdonly_cast", &[]),
            ("bpf_res_spin_lock", &[RET_NULL]),
            ("bpf_res_spin_lock_irqsave", &[RET_NULL]),
            ("bpf_res_spin_unlock", &[]),
            ("bpf_res_spin_unlock_irqrestore", &[]),
            ("bpf_strcasecmp", &[]),
            ("bpf_strchr", &[]),
            ("bpf_strchrnul", &[]),
            ("bpf_strcmp", &[]),
            ("bpf_strcspn", &[]),
            ("bpf_stream_vprintk_impl", &[TRUSTED_ARGS]),
            ("bpf_strlen", &[]),
            ("bpf_strnchr", &[]),
            ("bpf_strnlen", &[]),
            ("bpf_strnstr", &[]),
            ("bpf_strrchr", &[]),
            ("bpf_strspn", &[]),
            ("bpf_strstr", &[]),
            ("bpf_task_work_schedule_resume_impl", &[TRUSTED_ARGS]),
            ("bpf_task_work_schedule_signal_impl", &[TRUSTED_ARGS]),
            ("bpf_wq_init", &[]),
            ("bpf_wq_set_callback_impl", &[]),
            ("bpf_wq_start", &[]),
            ("bpf_xdp_metadata_rx_hash", &[TRUSTED_ARGS]),
            ("bpf_xdp_metadata_rx_timestamp", &[TRUSTED_ARGS]),
            ("bpf_xdp_metadata_rx_vlan_tag", &[TRUSTED_ARGS]),
        ],
    ),
    (
        &[KfuncHook::StructOps],
        Only::Any,
        &[
            ("bbr_cwnd_event", &[]),
            ("bbr_init", &[]),
            ("bbr_main", &[]),
            ("bbr_min_tso_segs", &[]),
            ("bbr_set_state", &[]),
            ("bbr_sndbuf_expand", &[]),
            ("bbr_ssthresh", &[]),
            ("bbr_undo_cwnd", &[]),
            ("cubictcp_acked", &[]),
            ("cubictcp_cong_avoid", &[]),
            ("cubictcp_cwnd_event", &[]),
            ("cubictcp_init", &[]),
            ("cubictcp_recalc_ssthresh", &[]),
            ("cubictcp_state", &[]),
            ("tcp_cong_avoid_ai", &[]),
            ("tcp_reno_cong_avoid", &[]),
            ("tcp_reno_ssthresh", &[]),
            ("tcp_reno_undo_cwnd", &[]),
            ("tcp_slow_start", &[]),
        ],
    ),
    (
        &[
            KfuncHook::Xdp,
            KfuncHook::Tc,
            KfuncHook::StructOps,
            KfuncHook::Tracing,
            KfuncHook::Syscall,
            KfuncHook::Cgroup,
        ],
        Only::Any,
        &[
            ("bpf_cgroup_acquire", &[ACQUIRE, RCU, RET_NULL]),
            ("bpf_cgroup_ancestor", &[ACQUIRE, RCU, RET_NULL]),
            ("bpf_cgroup_from_id", &[ACQUIRE, RET_NULL]),
            ("bpf_cgroup_release", &[RELEASE]),
            ("bpf_key_put", &[RELEASE]),
            ("bpf_list_back", &[RET_NULL]),
            ("bpf_list_front", &[RET_NULL]),
            ("bpf_list_pop_back", &[ACQUIRE, RET_NULL]),
            ("bpf_list_pop_front", &[ACQUIRE, RET_NULL]),
            ("bpf_list_push_back_impl", &[]),
            ("bpf_list_push_front_impl", &[]),
            ("bpf_lookup_system_key", &[ACQUIRE, RET_NULL]),
            ("bpf_lookup_user_key", &[ACQUIRE, RET_NULL, SLEEPABLE]),
            ("bpf_obj_drop_impl", &[RELEASE]),
            ("bpf_obj_new_impl", &[ACQUIRE, RET_NULL]),
            ("bpf_percpu_obj_drop_impl", &[RELEASE]),
            ("bpf_percpu_obj_new_impl", &[ACQUIRE, RET_NULL]),
            ("bpf_rbtree_add_impl", &[]),
            ("bpf_rbtree_first", &[RET_NULL]),
            ("bpf_rbtree_left", &[RET_NULL]),
            ("bpf_rbtree_remove", &[ACQUIRE, RET_NULL]),
            ("bpf_rbtree_right", &[RET_NULL]),
            ("bpf_rbtree_root", &[RET_NULL]),
            ("bpf_refcount_acquire_impl", &[ACQUIRE, RET_NULL, RCU]),
            ("bpf_send_signal_task", &[TRUSTED_ARGS]),
            ("bpf_task_acquire", &[ACQUIRE, RCU, RET_NULL]),
            ("bpf_task_from_pid", &[ACQUIRE, RET_NULL]),
            ("bpf_task_from_vpid", &[ACQUIRE, RET_NULL]),
            ("bpf_task_get_cgroup1", &[ACQUIRE, RCU, RET_NULL]),
            ("bpf_task_release", &[RELEASE]),
            ("bpf_task_under_cgroup", &[RCU]),
            ("bpf_throw", &[]),
        ],
    ),
    (
        &[KfuncHook::StructOps, KfuncHook::Tracing, KfuncHook::Syscall],
        Only::Any,
        &[
            ("bpf_cpumask_acquire", &[ACQUIRE, TRUSTED_ARGS]),
            ("bpf_cpumask_and", &[RCU]),
            ("bpf_cpumask_any_and_distribute", &[RCU]),
            ("bpf_cpumask_any_distribute", &[RCU]),
            ("bpf_cpumask_clear", &[RCU]),
            ("bpf_cpumask_clear_cpu", &[RCU]),
            ("bpf_cpumask_copy", &[RCU]),
            ("bpf_cpumask_create", &[ACQUIRE, RET_NULL]),
            ("bpf_cpumask_empty", &[RCU]),
            ("bpf_cpumask_equal", &[RCU]),
            ("bpf_cpumask_first", &[RCU]),
            ("bpf_cpumask_first_and", &[RCU]),
            ("bpf_cpumask_first_zero", &[RCU]),
            ("bpf_cpumask_full", &[RCU]),
            ("bpf_cpumask_intersects", &[RCU]),
            ("bpf_cpumask_or", &[RCU]),
            ("bpf_cpumask_populate", &[RCU]),
            ("bpf_cpumask_release", &[RELEASE]),
            ("bpf_cpumask_set_cpu", &[RCU]),
            ("bpf_cpumask_setall", &[RCU]),
            ("bpf_cpumask_subset", &[RCU]),
            ("bpf_cpumask_test_and_clear_cpu", &[RCU]),
            ("bpf_cpumask_test_and_set_cpu", &[RCU]),
            ("bpf_cpumask_test_cpu", &[RCU]),
            ("bpf_cpumask_weight", &[RCU]),
            ("bpf_cpumask_xor", &[RCU]),
        ],
    ),
    (
        &[KfuncHook::Syscall],
        Only::Any,
        &[
            ("bpf_crypto_ctx_acquire", &[ACQUIRE, RCU, RET_NULL]),
            ("bpf_crypto_ctx_create", &[ACQUIRE, RET_NULL, SLEEPABLE]),
            ("bpf_crypto_ctx_release", &[RELEASE]),
        ],
    ),
    (
        &[KfuncHook::Xdp, KfuncHook::Tc, KfuncHook::SchedAct],
        Only::Any,
        &[
            ("bpf_crypto_decrypt", &[RCU]),
            ("bpf_crypto_encrypt", &[RCU]),
        ],
    ),
    (
        &[KfuncHook::Xdp, KfuncHook::Tc],
        Only::Any,
        &[
            ("bpf_ct_change_status", &[TRUSTED_ARGS]),
            ("bpf_ct_change_timeout", &[TRUSTED_ARGS]),
            ("bpf_ct_insert_entry", &[ACQUIRE, RET_NULL, RELEASE]),
            ("bpf_ct_release", &[RELEASE]),
            ("bpf_ct_set_nat_info", &[TRUSTED_ARGS]),
            ("bpf_ct_set_status", &[TRUSTED_ARGS]),
            ("bpf_ct_set_timeout", &[TRUSTED_ARGS]),
            ("bpf_skb_ct_alloc", &[ACQUIRE, RET_NULL]),
            ("bpf_skb_ct_lookup", &[ACQUIRE, RET_NULL]),
            ("bpf_xdp_ct_alloc", &[ACQUIRE, RET_NULL]),
            ("bpf_xdp_ct_lookup", &[ACQUIRE, RET_NULL]),
        ],
    ),
    (
        &[
            KfuncHook::Tc,
            KfuncHook::Tracing,
            KfuncHook::Cgroup,
            KfuncHook::SchedAct,
            KfuncHook::SkSkb,
            KfuncHook::SocketFilter,
            KfuncHook::Lwt,
            KfuncHook::Netfilter,
        ],
        Only::Any,
        &[("bpf_dynptr_from_skb", &[TRUSTED_ARGS])],
    ),
    (
        &[KfuncHook::Tc, KfuncHook::SchedAct],
        Only::Any,
        &[("bpf_dynptr_from_skb_meta", &[TRUSTED_ARGS])],
    ),
    (
        &[KfuncHook::Xdp],
        Only::Any,
        &[
            ("bpf_dynptr_from_xdp", &[]),
            ("bpf_xdp_get_xfrm_state", &[RET_NULL, ACQUIRE]),
            ("bpf_xdp_pull_data", &[]),
            ("bpf_xdp_xfrm_state_release", &[RELEASE]),
        ],
    ),
    (
        &[KfuncHook::FmodRet],
        Only::Any,
        &[
            ("bpf_fentry_test1", &[SLEEPABLE]),
            ("bpf_modify_return_test", &[]),
            ("bpf_modify_return_test2", &[]),
        ],
    ),
    (
        &[KfuncHook::Tracing],
        Only::Lsm,
        &[
            ("bpf_get_dentry_xattr", &[SLEEPABLE, TRUSTED_ARGS]),
            ("bpf_get_file_xattr", &[SLEEPABLE, TRUSTED_ARGS]),
            ("bpf_get_task_exe_file", &[ACQUIRE, TRUSTED_ARGS, RET_NULL]),
            ("bpf_path_d_path", &[TRUSTED_ARGS]),
            ("bpf_put_file", &[RELEASE]),
            ("bpf_remove_dentry_xattr", &[SLEEPABLE, TRUSTED_ARGS]),
            ("bpf_set_dentry_xattr", &[SLEEPABLE, TRUSTED_ARGS]),
        ],
    ),
    (
        &[KfuncHook::Tc, KfuncHook::Tracing, KfuncHook::Syscall],
        Only::Any,
        &[
            ("bpf_kfunc_call_memb_release", &[RELEASE]),
            ("bpf_kfunc_call_test_release", &[RELEASE]),
        ],
    ),
    (
        &[KfuncHook::Kprobe],
        Only::Any,
        &[("bpf_session_cookie", &[]), ("bpf_session_is_return", &[])],
    ),
    (
        &[KfuncHook::Tc],
        Only::Any,
        &[("bpf_sk_assign_tcp_reqsk", &[TRUSTED_ARGS])],
    ),
    (
        &[KfuncHook::Cgroup],
        Only::Any,
        &[
            ("bpf_sock_addr_set_sun_path", &[]),
            ("bpf_sock_ops_enable_tx_tstamp", &[TRUSTED_ARGS]),
        ],
    ),
    (
        &[KfuncHook::Tracing],
        Only::Iterator,
        &[("bpf_sock_destroy", &[TRUSTED_ARGS])],
    ),
    (
        &[KfuncHook::Tracing],
        Only::Any,
        &[
            ("css_rstat_flush", &[SLEEPABLE]),
            ("css_rstat_updated", &[]),
        ],
    ),
];

/// The function of this name.
pub fn by_name(name: &str) -> Option<Kfunc> {
    all().find(|kfunc| kfunc.name == name)
}

/// All of them.
pub fn all() -> impl Iterator<Item = Kfunc> {
    GROUPS.iter().flat_map(|&(hooks, only, functions)| {
        functions.iter().map(move |&(name, flags)| Kfunc {
            name,
            flags: flags.iter().copied().collect(),
            hooks,
            only,
        })
    })
}
