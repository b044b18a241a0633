//! What is known of the arguments of tracepoints, iterators and LSM hooks beyond their types.

/// How an iterator hands an argument over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IterArgument {
    /// An object or, at the end, null.
    ObjectOrNull,
    /// The same, and it may be passed on while it is there.
    TrustedOrNull,
    /// A buffer whose size is known when the program is attached, or null.
    BufferOrNull,
    /// The same, for reading.
    ReadOnlyBufferOrNull,
}

use IterArgument::*;

/// Iterators with the numbers of the arguments that need a rule.
const ITERATORS: &[(&str, &[(u8, IterArgument)])] = &[
    ("bpf_iter_bpf_link", &[(1, ObjectOrNull)]),
    ("bpf_iter_bpf_map", &[(1, TrustedOrNull)]),
    (
        "bpf_iter_bpf_map_elem",
        &[(2, ReadOnlyBufferOrNull), (3, BufferOrNull)],
    ),
    ("bpf_iter_bpf_prog", &[(1, ObjectOrNull)]),
    (
        "bpf_iter_bpf_sk_storage_map",
        &[(2, ObjectOrNull), (3, BufferOrNull)],
    ),
    ("bpf_iter_cgroup", &[(1, TrustedOrNull)]),
    ("bpf_iter_dmabuf", &[(1, ObjectOrNull)]),
    ("bpf_iter_ipv6_route", &[(1, ObjectOrNull)]),
    ("bpf_iter_kmem_cache", &[(1, TrustedOrNull)]),
    ("bpf_iter_ksym", &[(1, ObjectOrNull)]),
    ("bpf_iter_netlink", &[(1, ObjectOrNull)]),
    (
        "bpf_iter_sockmap",
        &[(2, ReadOnlyBufferOrNull), (3, ObjectOrNull)],
    ),
    ("bpf_iter_task", &[(1, TrustedOrNull)]),
    (
        "bpf_iter_task_file",
        &[(1, ObjectOrNull), (3, ObjectOrNull)],
    ),
    ("bpf_iter_task_vma", &[(1, ObjectOrNull), (2, ObjectOrNull)]),
    ("bpf_iter_tcp", &[(1, TrustedOrNull)]),
    ("bpf_iter_udp", &[(1, TrustedOrNull)]),
    ("bpf_iter_unix", &[(1, ObjectOrNull)]),
];

/// The rule for an argument (from 0) of an iterator's function.
pub fn iterator(function: &str, argument: usize) -> Option<IterArgument> {
    let (_, rules) = ITERATORS.iter().find(|(name, _)| *name == function)?;
    rules
        .iter()
        .find(|(n, _)| usize::from(*n) == argument)
        .map(|&(_, rule)| rule)
}

/// Tracepoints with the numbers of the arguments that may be null.
const NULLABLE: &[(&str, &[u8])] = &[
    ("afs_flock_ev", &[1]),
    ("afs_make_fs_call", &[1]),
    ("afs_make_fs_call1", &[1]),
    ("afs_make_fs_call2", &[1]),
    ("afs_make_fs_calli", &[1]),
    ("afs_protocol_error", &[0]),
    ("break_lease_block", &[1]),
    ("break_lease_noblock", &[1]),
    ("break_lease_unblock", &[1]),
    ("cachefiles_io_error", &[0]),
    ("cachefiles_lookup", &[0]),
    ("cachefiles_mark_active", &[0]),
    ("cachefiles_mark_failed", &[0]),
    ("cachefiles_mark_inactive", &[0]),
    ("cachefiles_ondemand_close", &[0]),
    ("cachefiles_ondemand_copen", &[0]),
    ("cachefiles_ondemand_cread", &[0]),
    ("cachefiles_ondemand_fd_release", &[0]),
    ("cachefiles_ondemand_fd_write", &[0]),
    ("cachefiles_ondemand_open", &[0]),
    ("cachefiles_ondemand_read", &[0]),
    ("cachefiles_prep_read", &[0]),
    ("cachefiles_rename", &[0]),
    ("cachefiles_unlink", &[0]),
    ("cachefiles_vfs_error", &[0]),
    ("device_pm_callback_start", &[1]),
    ("ext4_mballoc_discard", &[1]),
    ("ext4_mballoc_free", &[1]),
    ("fcntl_setlk", &[1]),
    ("fib_table_lookup", &[2]),
    ("flock_lock_inode", &[1]),
    ("folio_wait_writeback", &[1]),
    ("generic_delete_lease", &[1]),
    ("host1x_cdma_push_gather", &[4]),
    ("hugetlbfs_alloc_inode", &[1]),
    ("kfree_skb", &[3]),
    ("locks_remove_posix", &[1]),
    ("mm_collapse_huge_page_isolate", &[0]),
    ("mm_khugepaged_collapse_file", &[1]),
    ("mm_khugepaged_scan_file", &[1]),
    ("mm_khugepaged_scan_pmd", &[1]),
    ("mm_page_alloc", &[0]),
    ("mm_page_alloc_zone_locked", &[0]),
    ("mm_page_pcpu_drain", &[0]),
    ("netfs_failure", &[1]),
    ("posix_lock_inode", &[1]),
    ("qdisc_dequeue", &[3]),
    ("rxrpc_recvdata", &[0]),
    ("rxrpc_resend", &[1]),
    ("sched_pi_setprio", &[1]),
    ("sched_process_wait", &[0]),
    ("sched_stick_numa", &[2]),
    ("sched_swap_numa", &[2]),
    ("tcp_send_reset", &[0, 1]),
    ("tcp_sendmsg_locked", &[2]),
    ("tegra_dma_tx_status", &[2]),
    ("time_out_leases", &[1]),
    ("tmigr_update_events", &[0]),
    ("writeback_dirty_folio", &[1]),
    ("xfs_blockgc_flush_all", &[0]),
    ("xfs_blockgc_free_space", &[1]),
    ("xfs_blockgc_start", &[0]),
    ("xfs_blockgc_stop", &[0]),
    ("xfs_blockgc_worker", &[0]),
    ("xfs_btree_overlapped_query_range", &[2]),
    ("xfs_btree_updkeys", &[2]),
    ("xfs_defer_add_item", &[0]),
    ("xfs_defer_cancel_item", &[0]),
    ("xfs_defer_cancel_list", &[0]),
    ("xfs_defer_create_intent", &[0]),
    ("xfs_defer_finish_item", &[0]),
    ("xfs_defer_isolate_paused", &[0]),
    ("xfs_defer_item_pause", &[0]),
    ("xfs_defer_item_unpause", &[0]),
    ("xfs_defer_pending_abort", &[0]),
    ("xfs_defer_pending_finish", &[0]),
    ("xfs_defer_relog_intent", &[0]),
    ("xfs_fs_sync_fs", &[0]),
    ("xfs_inodegc_flush", &[0]),
    ("xfs_inodegc_push", &[0]),
    ("xfs_inodegc_queue", &[0]),
    ("xfs_inodegc_start", &[0]),
    ("xfs_inodegc_stop", &[0]),
    ("xfs_inodegc_throttle", &[0]),
    ("xfs_ioc_free_eofblocks", &[1]),
    ("xfs_map_blocks_alloc", &[4]),
    ("xfs_map_blocks_found", &[4]),
    ("xprt_get_cong", &[1]),
    ("xprt_put_cong", &[1]),
    ("xprt_release_cong", &[1]),
    ("xprt_reserve_cong", &[1]),
    ("xs_stream_read_data", &[0]),
];

/// Tracepoints with the numbers of the arguments that may be an error instead of a pointer.
const ERRORS: &[(&str, &[u8])] = &[
    ("cachefiles_lookup", &[2]),
    ("mr_integ_alloc", &[3]),
    ("signal_deliver", &[1]),
    ("signal_generate", &[1]),
];

fn listed(list: &[(&str, &[u8])], tracepoint: &str, argument: usize) -> bool {
    list.iter()
        .any(|(name, args)| *name == tracepoint && args.iter().any(|&n| usize::from(n) == argument))
}

/// Whether an argument (from 0) of a tracepoint may be null.
pub fn tracepoint_may_be_null(tracepoint: &str, argument: usize) -> bool {
    listed(NULLABLE, tracepoint, argument)
}

/// Whether an argument of a tracepoint may be an error instead of a pointer.
pub fn tracepoint_may_be_error(tracepoint: &str, argument: usize) -> bool {
    listed(ERRORS, tracepoint, argument)
}
