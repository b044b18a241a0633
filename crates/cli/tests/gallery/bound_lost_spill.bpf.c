// SPDX-License-Identifier: MIT OR Apache-2.0
// A bound is lost on the stack
//
// A variable that is partly overwritten on the stack is any number afterwards.

#include "gallery.h"

SEC("xdp")
int bound_lost_spill(struct xdp_md *ctx)
{
	volatile __u64 index = ctx->rx_queue_index & 15;
	struct table *t = table();

	if (!t)
		return XDP_ABORTED;
#ifndef FIX
	*(volatile __u8 *)&index = ctx->rx_queue_index;
#endif
	t->slots[index]++;
	return XDP_PASS;
}
