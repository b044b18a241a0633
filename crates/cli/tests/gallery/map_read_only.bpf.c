// SPDX-License-Identifier: MIT OR Apache-2.0
// A program writes to a map that is read-only for programs
//
// BPF_F_RDONLY_PROG keeps programs from changing what user space configures.

#include "gallery.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
#ifndef FIX
	__uint(map_flags, BPF_F_RDONLY_PROG);
#endif
	__type(key, __u32);
	__type(value, __u64);
} settings SEC(".maps");

SEC("xdp")
int map_read_only(struct xdp_md *ctx)
{
	__u64 *value = bpf_map_lookup_elem(&settings, &zero);

	if (value)
		*value = ctx->rx_queue_index;
	return XDP_PASS;
}
