// SPDX-License-Identifier: MIT OR Apache-2.0
// A number is passed where a pointer is asked for
//
// Keys and values are passed by their address.

#include "gallery.h"

SEC("xdp")
int argument_number_for_pointer(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;
	struct table *t;

#ifdef FIX
	t = bpf_map_lookup_elem(&tables, &key);
#else
	t = bpf_map_lookup_elem(&tables, (void *)(long)key);
#endif
	return t ? XDP_PASS : XDP_DROP;
}
