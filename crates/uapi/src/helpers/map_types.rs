//! Which helpers go with which map types.

#![allow(non_upper_case_globals)]

use super::id::*;
use crate::MapType::{self, *};

/// Map types that only these helpers may be called with. Types that are not listed have no rule of
/// their own.
const BY_MAP: &[(&[MapType], &[u32])] = &[
    (&[ProgArray], &[BPF_FUNC_tail_call]),
    (
        &[PerfEventArray],
        &[
            BPF_FUNC_perf_event_read,
            BPF_FUNC_perf_event_output,
            BPF_FUNC_skb_output,
            BPF_FUNC_perf_event_read_value,
            BPF_FUNC_xdp_output,
        ],
    ),
    (
        &[Ringbuf],
        &[
            BPF_FUNC_ringbuf_output,
            BPF_FUNC_ringbuf_reserve,
            BPF_FUNC_ringbuf_query,
            BPF_FUNC_ringbuf_reserve_dynptr,
            BPF_FUNC_ringbuf_submit_dynptr,
            BPF_FUNC_ringbuf_discard_dynptr,
        ],
    ),
    (&[UserRingbuf], &[BPF_FUNC_user_ringbuf_drain]),
    (&[StackTrace], &[BPF_FUNC_get_stackid]),
    (
        &[CgroupArray],
        &[
            BPF_FUNC_skb_under_cgroup,
            BPF_FUNC_current_task_under_cgroup,
        ],
    ),
    (
        &[CgroupStorage, PercpuCgroupStorage],
        &[BPF_FUNC_get_local_storage],
    ),
    (
        &[Devmap, DevmapHash, Xskmap],
        &[BPF_FUNC_redirect_map, BPF_FUNC_map_lookup_elem],
    ),
    (&[Cpumap], &[BPF_FUNC_redirect_map]),
    (&[ArrayOfMaps, HashOfMaps], &[BPF_FUNC_map_lookup_elem]),
    (
        &[Sockmap],
        &[
            BPF_FUNC_sk_redirect_map,
            BPF_FUNC_sock_map_update,
            BPF_FUNC_msg_redirect_map,
            BPF_FUNC_sk_select_reuseport,
            BPF_FUNC_map_lookup_elem,
        ],
    ),
    (
        &[Sockhash],
        &[
            BPF_FUNC_sk_redirect_hash,
            BPF_FUNC_sock_hash_update,
            BPF_FUNC_msg_redirect_hash,
            BPF_FUNC_sk_select_reuseport,
            BPF_FUNC_map_lookup_elem,
        ],
    ),
    (&[ReuseportSockarray], &[BPF_FUNC_sk_select_reuseport]),
    (
        &[Queue, Stack],
        &[
            BPF_FUNC_map_peek_elem,
            BPF_FUNC_map_pop_elem,
            BPF_FUNC_map_push_elem,
        ],
    ),
    (
        &[SkStorage],
        &[
            BPF_FUNC_sk_storage_get,
            BPF_FUNC_sk_storage_delete,
            BPF_FUNC_kptr_xchg,
        ],
    ),
    (
        &[InodeStorage],
        &[
            BPF_FUNC_inode_storage_get,
            BPF_FUNC_inode_storage_delete,
            BPF_FUNC_kptr_xchg,
        ],
    ),
    (
        &[TaskStorage],
        &[
            BPF_FUNC_task_storage_get,
            BPF_FUNC_task_storage_delete,
            BPF_FUNC_kptr_xchg,
        ],
    ),
    (
        &[CgrpStorage],
        &[
            BPF_FUNC_cgrp_storage_get,
            BPF_FUNC_cgrp_storage_delete,
            BPF_FUNC_kptr_xchg,
        ],
    ),
    (
        &[BloomFilter],
        &[BPF_FUNC_map_peek_elem, BPF_FUNC_map_push_elem],
    ),
    // Programs reach the arena's memory through pointers and kfuncs; operations of struct_ops maps
    // are the loader's.
    (&[StructOps, Arena], &[]),
];

/// Helpers that may only be called with these map types. Helpers that are not listed have no rule
/// of their own.
const BY_HELPER: &[(&[u32], &[MapType])] = &[
    (&[BPF_FUNC_tail_call], &[ProgArray]),
    (
        &[
            BPF_FUNC_perf_event_read,
            BPF_FUNC_perf_event_output,
            BPF_FUNC_perf_event_read_value,
            BPF_FUNC_skb_output,
            BPF_FUNC_xdp_output,
        ],
        &[PerfEventArray],
    ),
    (
        &[
            BPF_FUNC_ringbuf_output,
            BPF_FUNC_ringbuf_reserve,
            BPF_FUNC_ringbuf_query,
            BPF_FUNC_ringbuf_reserve_dynptr,
            BPF_FUNC_ringbuf_submit_dynptr,
            BPF_FUNC_ringbuf_discard_dynptr,
        ],
        &[Ringbuf],
    ),
    (&[BPF_FUNC_user_ringbuf_drain], &[UserRingbuf]),
    (&[BPF_FUNC_get_stackid], &[StackTrace]),
    (
        &[
            BPF_FUNC_current_task_under_cgroup,
            BPF_FUNC_skb_under_cgroup,
        ],
        &[CgroupArray],
    ),
    (
        &[BPF_FUNC_redirect_map],
        &[Devmap, DevmapHash, Cpumap, Xskmap],
    ),
    (
        &[
            BPF_FUNC_sk_redirect_map,
            BPF_FUNC_msg_redirect_map,
            BPF_FUNC_sock_map_update,
        ],
        &[Sockmap],
    ),
    (
        &[
            BPF_FUNC_sk_redirect_hash,
            BPF_FUNC_msg_redirect_hash,
            BPF_FUNC_sock_hash_update,
        ],
        &[Sockhash],
    ),
    (
        &[BPF_FUNC_get_local_storage],
        &[CgroupStorage, PercpuCgroupStorage],
    ),
    (
        &[BPF_FUNC_sk_select_reuseport],
        &[ReuseportSockarray, Sockmap, Sockhash],
    ),
    (&[BPF_FUNC_map_pop_elem], &[Queue, Stack]),
    (
        &[BPF_FUNC_map_peek_elem, BPF_FUNC_map_push_elem],
        &[Queue, Stack, BloomFilter],
    ),
    (
        &[BPF_FUNC_map_lookup_percpu_elem],
        &[PercpuArray, PercpuHash, LruPercpuHash],
    ),
    (
        &[BPF_FUNC_sk_storage_get, BPF_FUNC_sk_storage_delete],
        &[SkStorage],
    ),
    (
        &[BPF_FUNC_inode_storage_get, BPF_FUNC_inode_storage_delete],
        &[InodeStorage],
    ),
    (
        &[BPF_FUNC_task_storage_get, BPF_FUNC_task_storage_delete],
        &[TaskStorage],
    ),
    (
        &[BPF_FUNC_cgrp_storage_get, BPF_FUNC_cgrp_storage_delete],
        &[CgrpStorage],
    ),
];

/// Whether a helper may be called with a map of this type. Updates and deletions of socket maps
/// depend on the program type too: see [`is_socket_map_change`].
pub fn fits_map(helper: u32, map_type: MapType) -> bool {
    let map_allows = BY_MAP
        .iter()
        .find(|(types, _)| types.contains(&map_type))
        .is_none_or(|(_, helpers)| {
            helpers.contains(&helper) || is_socket_map_change(helper, map_type)
        });
    let helper_allows = BY_HELPER
        .iter()
        .find(|(helpers, _)| helpers.contains(&helper))
        .is_none_or(|(_, types)| types.contains(&map_type));
    map_allows && helper_allows
}

/// Whether it is an update or deletion of a socket map: only some program types may do that.
pub fn is_socket_map_change(helper: u32, map_type: MapType) -> bool {
    matches!(map_type, Sockmap | Sockhash)
        && matches!(helper, BPF_FUNC_map_update_elem | BPF_FUNC_map_delete_elem)
}

/// Whether `for_each_map_elem` works on this type.
pub fn can_be_walked(map_type: MapType) -> bool {
    matches!(
        map_type,
        Array | PercpuArray | Hash | PercpuHash | LruHash | LruPercpuHash
    )
}
