// SPDX-License-Identifier: MIT OR Apache-2.0
// A signed index is checked from above only
//
// A signed number that is less than 16 may be negative.

#include "gallery.h"

SEC("xdp")
int map_index_signed(struct xdp_md *ctx)
{
#ifdef FIX
	__u32 index = ctx->rx_queue_index;
#else
	int index = ctx->rx_queue_index;
#endif
	struct table *t = table();

	if (!t)
		return XDP_ABORTED;
	if (index >= 16)
		return XDP_DROP;
	t->slots[index]++;
	return XDP_PASS;
}
