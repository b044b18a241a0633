// SPDX-License-Identifier: MIT OR Apache-2.0
// A bound is lost by a subtraction
//
// From 0, one step back leads to the largest number of all.

#include "gallery.h"

SEC("xdp")
int bound_lost_subtraction(struct xdp_md *ctx)
{
	__u32 index = ctx->rx_queue_index;
	struct table *t = table();

	if (!t || index > 16)
		return XDP_ABORTED;
#ifdef FIX
	if (index == 0)
		return XDP_ABORTED;
#endif
	t->slots[index - 1]++;
	return XDP_PASS;
}
