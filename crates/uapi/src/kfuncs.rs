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
    /// The first version of Linux that has it.
    pub since: (u8, u8),
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
    &'static [(&'static str, (u8, u8), &'static [F])],
);

const GROUPS: &[Group] = &[
    (
        &[KfuncHook::Common],
        Only::Any,
        &[
            ("__bpf_trap", (6, 16), &[]),
            ("bpf_arena_alloc_pages", (6, 9), &[TRUSTED_ARGS, SLEEPABLE]),
            ("bpf_arena_free_pages", (6, 9), &[TRUSTED_ARGS, SLEEPABLE]),
            (
                "bpf_arena_reserve_pages",
                (6, 18),
                &[SLEEPABLE, TRUSTED_ARGS],
            ),
            ("bpf_cast_to_kern_ctx", (6, 2), &[]),
            ("bpf_cgroup_read_xattr", (6, 17), &[RCU]),
            ("bpf_copy_from_user_dynptr", (6, 16), &[SLEEPABLE]),
            ("bpf_copy_from_user_str", (6, 12), &[SLEEPABLE]),
            ("bpf_copy_from_user_str_dynptr", (6, 16), &[SLEEPABLE]),
            (
                "bpf_copy_from_user_task_dynptr",
                (6, 16),
                &[SLEEPABLE, TRUSTED_ARGS],
            ),
            ("bpf_copy_from_user_task_str", (6, 14), &[SLEEPABLE]),
            (
                "bpf_copy_from_user_task_str_dynptr",
                (6, 16),
                &[SLEEPABLE, TRUSTED_ARGS],
            ),
            ("bpf_dynptr_adjust", (6, 5), &[]),
            ("bpf_dynptr_clone", (6, 5), &[]),
            ("bpf_dynptr_copy", (6, 16), &[]),
            ("bpf_dynptr_is_null", (6, 5), &[]),
            ("bpf_dynptr_is_rdonly", (6, 5), &[]),
            ("bpf_dynptr_memset", (6, 17), &[]),
            ("bpf_dynptr_size", (6, 5), &[]),
            ("bpf_dynptr_slice", (6, 4), &[RET_NULL]),
            ("bpf_dynptr_slice_rdwr", (6, 4), &[RET_NULL]),
            ("bpf_get_kmem_cache", (6, 13), &[]),
            ("bpf_iter_bits_destroy", (6, 11), &[ITER_DESTROY]),
            ("bpf_iter_bits_new", (6, 11), &[ITER_NEW]),
            ("bpf_iter_bits_next", (6, 11), &[ITER_NEXT, RET_NULL]),
            ("bpf_iter_css_destroy", (6, 7), &[ITER_DESTROY]),
            (
                "bpf_iter_css_new",
                (6, 7),
                &[ITER_NEW, TRUSTED_ARGS, RCU_PROTECTED],
            ),
            ("bpf_iter_css_next", (6, 7), &[ITER_NEXT, RET_NULL]),
            ("bpf_iter_css_task_destroy", (6, 7), &[ITER_DESTROY]),
            ("bpf_iter_css_task_new", (6, 7), &[ITER_NEW, TRUSTED_ARGS]),
            ("bpf_iter_css_task_next", (6, 7), &[ITER_NEXT, RET_NULL]),
            (
                "bpf_iter_dmabuf_destroy",
                (6, 16),
                &[ITER_DESTROY, SLEEPABLE],
            ),
            ("bpf_iter_dmabuf_new", (6, 16), &[ITER_NEW, SLEEPABLE]),
            (
                "bpf_iter_dmabuf_next",
                (6, 16),
                &[ITER_NEXT, RET_NULL, SLEEPABLE],
            ),
            (
                "bpf_iter_kmem_cache_destroy",
                (6, 13),
                &[ITER_DESTROY, SLEEPABLE],
            ),
            ("bpf_iter_kmem_cache_new", (6, 13), &[ITER_NEW, SLEEPABLE]),
            (
                "bpf_iter_kmem_cache_next",
                (6, 13),
                &[ITER_NEXT, RET_NULL, SLEEPABLE],
            ),
            ("bpf_iter_num_destroy", (6, 4), &[ITER_DESTROY]),
            ("bpf_iter_num_new", (6, 4), &[ITER_NEW]),
            ("bpf_iter_num_next", (6, 4), &[ITER_NEXT, RET_NULL]),
            ("bpf_iter_task_destroy", (6, 7), &[ITER_DESTROY]),
            (
                "bpf_iter_task_new",
                (6, 7),
                &[ITER_NEW, TRUSTED_ARGS, RCU_PROTECTED],
            ),
            ("bpf_iter_task_next", (6, 7), &[ITER_NEXT, RET_NULL]),
            ("bpf_iter_task_vma_destroy", (6, 7), &[ITER_DESTROY]),
            ("bpf_iter_task_vma_new", (6, 7), &[ITER_NEW, RCU]),
            ("bpf_iter_task_vma_next", (6, 7), &[ITER_NEXT, RET_NULL]),
            ("bpf_local_irq_restore", (6, 14), &[]),
            ("bpf_local_irq_save", (6, 14), &[]),
            ("bpf_map_sum_elem_count", (6, 6), &[TRUSTED_ARGS]),
            ("bpf_modify_return_test_tp", (6, 10), &[]),
            ("bpf_preempt_disable", (6, 10), &[]),
            ("bpf_preempt_enable", (6, 10), &[]),
            ("bpf_probe_read_kernel_dynptr", (6, 16), &[]),
            ("bpf_probe_read_kernel_str_dynptr", (6, 16), &[]),
            ("bpf_probe_read_user_dynptr", (6, 16), &[]),
            ("bpf_probe_read_user_str_dynptr", (6, 16), &[]),
            ("bpf_rcu_read_lock", (6, 2), &[]),
            ("bpf_rcu_read_unlock", (6, 2), &[]),
            ("bpf_rdonly_cast", (6, 2), &[]),
            ("bpf_res_spin_lock", (6, 15), &[RET_NULL]),
            ("bpf_res_spin_lock_irqsave", (6, 15), &[RET_NULL]),
            ("bpf_res_spin_unlock", (6, 15), &[]),
            ("bpf_res_spin_unlock_irqrestore", (6, 15), &[]),
            ("bpf_strcasecmp", (6, 18), &[]),
            ("bpf_strchr", (6, 17), &[]),
            ("bpf_strchrnul", (6, 17), &[]),
            ("bpf_strcmp", (6, 17), &[]),
            ("bpf_strcspn", (6, 17), &[]),
            ("bpf_stream_vprintk_impl", (6, 17), &[TRUSTED_ARGS]),
            ("bpf_strlen", (6, 17), &[]),
            ("bpf_strnchr", (6, 17), &[]),
            ("bpf_strnlen", (6, 17), &[]),
            ("bpf_strnstr", (6, 17), &[]),
            ("bpf_strrchr", (6, 17), &[]),
            ("bpf_strspn", (6, 17), &[]),
            ("bpf_strstr", (6, 17), &[]),
            (
                "bpf_task_work_schedule_resume_impl",
                (6, 18),
                &[TRUSTED_ARGS],
            ),
            (
                "bpf_task_work_schedule_signal_impl",
                (6, 18),
                &[TRUSTED_ARGS],
            ),
            ("bpf_wq_init", (6, 10), &[]),
            ("bpf_wq_set_callback_impl", (6, 10), &[]),
            ("bpf_wq_start", (6, 10), &[]),
            ("bpf_xdp_metadata_rx_hash", (6, 3), &[TRUSTED_ARGS]),
            ("bpf_xdp_metadata_rx_timestamp", (6, 3), &[TRUSTED_ARGS]),
            ("bpf_xdp_metadata_rx_vlan_tag", (6, 8), &[TRUSTED_ARGS]),
        ],
    ),
    (
        &[KfuncHook::StructOps],
        Only::Any,
        &[
            ("bbr_cwnd_event", (5, 13), &[]),
            ("bbr_init", (5, 13), &[]),
            ("bbr_main", (5, 13), &[]),
            ("bbr_min_tso_segs", (5, 13), &[]),
            ("bbr_set_state", (5, 13), &[]),
            ("bbr_sndbuf_expand", (5, 13), &[]),
            ("bbr_ssthresh", (5, 13), &[]),
            ("bbr_undo_cwnd", (5, 13), &[]),
            ("cubictcp_acked", (5, 13), &[]),
            ("cubictcp_cong_avoid", (5, 13), &[]),
            ("cubictcp_cwnd_event", (5, 13), &[]),
            ("cubictcp_init", (5, 13), &[]),
            ("cubictcp_recalc_ssthresh", (5, 13), &[]),
            ("cubictcp_state", (5, 13), &[]),
            ("tcp_cong_avoid_ai", (5, 13), &[]),
            ("tcp_reno_cong_avoid", (5, 13), &[]),
            ("tcp_reno_ssthresh", (5, 13), &[]),
            ("tcp_reno_undo_cwnd", (5, 13), &[]),
            ("tcp_slow_start", (5, 13), &[]),
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
            ("bpf_cgroup_acquire", (6, 2), &[ACQUIRE, RCU, RET_NULL]),
            ("bpf_cgroup_ancestor", (6, 2), &[ACQUIRE, RCU, RET_NULL]),
            ("bpf_cgroup_from_id", (6, 3), &[ACQUIRE, RET_NULL]),
            ("bpf_cgroup_release", (6, 2), &[RELEASE]),
            ("bpf_key_put", (6, 1), &[RELEASE]),
            ("bpf_list_back", (6, 16), &[RET_NULL]),
            ("bpf_list_front", (6, 16), &[RET_NULL]),
            ("bpf_list_pop_back", (6, 2), &[ACQUIRE, RET_NULL]),
            ("bpf_list_pop_front", (6, 2), &[ACQUIRE, RET_NULL]),
            ("bpf_list_push_back_impl", (6, 2), &[]),
            ("bpf_list_push_front_impl", (6, 2), &[]),
            ("bpf_lookup_system_key", (6, 1), &[ACQUIRE, RET_NULL]),
            (
                "bpf_lookup_user_key",
                (6, 1),
                &[ACQUIRE, RET_NULL, SLEEPABLE],
            ),
            ("bpf_obj_drop_impl", (6, 2), &[RELEASE]),
            ("bpf_obj_new_impl", (6, 2), &[ACQUIRE, RET_NULL]),
            ("bpf_percpu_obj_drop_impl", (6, 7), &[RELEASE]),
            ("bpf_percpu_obj_new_impl", (6, 7), &[ACQUIRE, RET_NULL]),
            ("bpf_rbtree_add_impl", (6, 3), &[]),
            ("bpf_rbtree_first", (6, 3), &[RET_NULL]),
            ("bpf_rbtree_left", (6, 16), &[RET_NULL]),
            ("bpf_rbtree_remove", (6, 3), &[ACQUIRE, RET_NULL]),
            ("bpf_rbtree_right", (6, 16), &[RET_NULL]),
            ("bpf_rbtree_root", (6, 16), &[RET_NULL]),
            (
                "bpf_refcount_acquire_impl",
                (6, 4),
                &[ACQUIRE, RET_NULL, RCU],
            ),
            ("bpf_send_signal_task", (6, 13), &[TRUSTED_ARGS]),
            ("bpf_task_acquire", (6, 2), &[ACQUIRE, RCU, RET_NULL]),
            ("bpf_task_from_pid", (6, 2), &[ACQUIRE, RET_NULL]),
            ("bpf_task_from_vpid", (6, 13), &[ACQUIRE, RET_NULL]),
            ("bpf_task_get_cgroup1", (6, 8), &[ACQUIRE, RCU, RET_NULL]),
            ("bpf_task_release", (6, 2), &[RELEASE]),
            ("bpf_task_under_cgroup", (6, 5), &[RCU]),
            ("bpf_throw", (6, 7), &[]),
        ],
    ),
    (
        &[KfuncHook::StructOps, KfuncHook::Tracing, KfuncHook::Syscall],
        Only::Any,
        &[
            ("bpf_cpumask_acquire", (6, 3), &[ACQUIRE, TRUSTED_ARGS]),
            ("bpf_cpumask_and", (6, 3), &[RCU]),
            ("bpf_cpumask_any_and_distribute", (6, 3), &[RCU]),
            ("bpf_cpumask_any_distribute", (6, 3), &[RCU]),
            ("bpf_cpumask_clear", (6, 3), &[RCU]),
            ("bpf_cpumask_clear_cpu", (6, 3), &[RCU]),
            ("bpf_cpumask_copy", (6, 3), &[RCU]),
            ("bpf_cpumask_create", (6, 3), &[ACQUIRE, RET_NULL]),
            ("bpf_cpumask_empty", (6, 3), &[RCU]),
            ("bpf_cpumask_equal", (6, 3), &[RCU]),
            ("bpf_cpumask_first", (6, 3), &[RCU]),
            ("bpf_cpumask_first_and", (6, 6), &[RCU]),
            ("bpf_cpumask_first_zero", (6, 3), &[RCU]),
            ("bpf_cpumask_full", (6, 3), &[RCU]),
            ("bpf_cpumask_intersects", (6, 3), &[RCU]),
            ("bpf_cpumask_or", (6, 3), &[RCU]),
            ("bpf_cpumask_populate", (6, 15), &[RCU]),
            ("bpf_cpumask_release", (6, 3), &[RELEASE]),
            ("bpf_cpumask_set_cpu", (6, 3), &[RCU]),
            ("bpf_cpumask_setall", (6, 3), &[RCU]),
            ("bpf_cpumask_subset", (6, 3), &[RCU]),
            ("bpf_cpumask_test_and_clear_cpu", (6, 3), &[RCU]),
            ("bpf_cpumask_test_and_set_cpu", (6, 3), &[RCU]),
            ("bpf_cpumask_test_cpu", (6, 3), &[RCU]),
            ("bpf_cpumask_weight", (6, 8), &[RCU]),
            ("bpf_cpumask_xor", (6, 3), &[RCU]),
        ],
    ),
    (
        &[KfuncHook::Syscall],
        Only::Any,
        &[
            ("bpf_crypto_ctx_acquire", (6, 10), &[ACQUIRE, RCU, RET_NULL]),
            (
                "bpf_crypto_ctx_create",
                (6, 10),
                &[ACQUIRE, RET_NULL, SLEEPABLE],
            ),
            ("bpf_crypto_ctx_release", (6, 10), &[RELEASE]),
        ],
    ),
    (
        &[KfuncHook::Xdp, KfuncHook::Tc, KfuncHook::SchedAct],
        Only::Any,
        &[
            ("bpf_crypto_decrypt", (6, 10), &[RCU]),
            ("bpf_crypto_encrypt", (6, 10), &[RCU]),
        ],
    ),
    (
        &[KfuncHook::Xdp, KfuncHook::Tc],
        Only::Any,
        &[
            ("bpf_ct_change_status", (6, 0), &[TRUSTED_ARGS]),
            ("bpf_ct_change_timeout", (6, 0), &[TRUSTED_ARGS]),
            ("bpf_ct_insert_entry", (6, 0), &[ACQUIRE, RET_NULL, RELEASE]),
            ("bpf_ct_release", (5, 18), &[RELEASE]),
            ("bpf_ct_set_nat_info", (6, 1), &[TRUSTED_ARGS]),
            ("bpf_ct_set_status", (6, 0), &[TRUSTED_ARGS]),
            ("bpf_ct_set_timeout", (6, 0), &[TRUSTED_ARGS]),
            ("bpf_skb_ct_alloc", (6, 0), &[ACQUIRE, RET_NULL]),
            ("bpf_skb_ct_lookup", (5, 18), &[ACQUIRE, RET_NULL]),
            ("bpf_xdp_ct_alloc", (6, 0), &[ACQUIRE, RET_NULL]),
            ("bpf_xdp_ct_lookup", (5, 18), &[ACQUIRE, RET_NULL]),
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
        &[("bpf_dynptr_from_skb", (6, 4), &[TRUSTED_ARGS])],
    ),
    (
        &[KfuncHook::Tc, KfuncHook::SchedAct],
        Only::Any,
        &[("bpf_dynptr_from_skb_meta", (6, 18), &[TRUSTED_ARGS])],
    ),
    (
        &[KfuncHook::Xdp],
        Only::Any,
        &[
            ("bpf_dynptr_from_xdp", (6, 4), &[]),
            ("bpf_xdp_get_xfrm_state", (6, 8), &[RET_NULL, ACQUIRE]),
            ("bpf_xdp_pull_data", (6, 18), &[]),
            ("bpf_xdp_xfrm_state_release", (6, 8), &[RELEASE]),
        ],
    ),
    (
        &[KfuncHook::FmodRet],
        Only::Any,
        &[
            ("bpf_fentry_test1", (6, 0), &[SLEEPABLE]),
            ("bpf_modify_return_test", (6, 0), &[]),
            ("bpf_modify_return_test2", (6, 0), &[]),
        ],
    ),
    (
        &[KfuncHook::Tracing],
        Only::Lsm,
        &[
            ("bpf_get_dentry_xattr", (6, 12), &[SLEEPABLE, TRUSTED_ARGS]),
            ("bpf_get_file_xattr", (6, 8), &[SLEEPABLE, TRUSTED_ARGS]),
            (
                "bpf_get_task_exe_file",
                (6, 12),
                &[ACQUIRE, TRUSTED_ARGS, RET_NULL],
            ),
            ("bpf_path_d_path", (6, 12), &[TRUSTED_ARGS]),
            ("bpf_put_file", (6, 12), &[RELEASE]),
            (
                "bpf_remove_dentry_xattr",
                (6, 15),
                &[SLEEPABLE, TRUSTED_ARGS],
            ),
            ("bpf_set_dentry_xattr", (6, 15), &[SLEEPABLE, TRUSTED_ARGS]),
        ],
    ),
    (
        &[KfuncHook::Tc, KfuncHook::Tracing, KfuncHook::Syscall],
        Only::Any,
        &[
            ("bpf_kfunc_call_memb_release", (5, 18), &[RELEASE]),
            ("bpf_kfunc_call_test_release", (5, 18), &[RELEASE]),
        ],
    ),
    (
        &[KfuncHook::Kprobe],
        Only::Any,
        &[
            ("bpf_session_cookie", (6, 10), &[]),
            ("bpf_session_is_return", (6, 10), &[]),
        ],
    ),
    (
        &[KfuncHook::Tc],
        Only::Any,
        &[("bpf_sk_assign_tcp_reqsk", (6, 9), &[TRUSTED_ARGS])],
    ),
    (
        &[KfuncHook::Cgroup],
        Only::Any,
        &[
            ("bpf_sock_addr_set_sun_path", (6, 7), &[]),
            ("bpf_sock_ops_enable_tx_tstamp", (6, 15), &[TRUSTED_ARGS]),
        ],
    ),
    (
        &[KfuncHook::Tracing],
        Only::Iterator,
        &[("bpf_sock_destroy", (6, 5), &[TRUSTED_ARGS])],
    ),
    (
        &[KfuncHook::Tracing],
        Only::Any,
        &[
            ("css_rstat_flush", (6, 16), &[SLEEPABLE]),
            ("css_rstat_updated", (6, 16), &[]),
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
        functions.iter().map(move |&(name, since, flags)| Kfunc {
            name,
            since,
            flags: flags.iter().copied().collect(),
            hooks,
            only,
        })
    })
}
