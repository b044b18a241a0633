// SPDX-License-Identifier: MIT OR Apache-2.0
// The wrong pointer is tested
//
// Two lookups, one test: the other pointer may still be NULL.

#include "gallery.h"

SEC("xdp")
int null_wrong_test(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;
	struct table *from = bpf_map_lookup_elem(&tables, &key);
	struct table *to = bpf_map_lookup_elem(&tables, &zero);

	if (!from)
		return XDP_ABORTED;
#ifdef FIX
	if (!to)
		return XDP_ABORTED;
#endif
	to->slots[1] = from->slots[1];
	return XDP_PASS;
}
