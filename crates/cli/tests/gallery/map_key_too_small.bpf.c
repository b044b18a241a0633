// SPDX-License-Identifier: MIT OR Apache-2.0
// A variable is smaller than the map's keys
//
// Helpers read as many bytes as a key has.

#include "gallery.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, __u64);
} users SEC(".maps");

SEC("xdp")
int map_key_too_small(struct xdp_md *ctx)
{
#ifdef FIX
	__u64 key = ctx->rx_queue_index;
#else
	__u32 key = ctx->rx_queue_index;
#endif

	return bpf_map_lookup_elem(&users, &key) ? XDP_DROP : XDP_PASS;
}
