// SPDX-License-Identifier: MIT OR Apache-2.0
// A bound is lost in the result of a global function
//
// Functions that are not static are verified on their own: of their results nothing is known.

#include "gallery.h"

#ifdef FIX
static
#endif
__noinline __u32 bucket(__u32 number)
{
	return number & 15;
}

SEC("xdp")
int bound_lost_call(struct xdp_md *ctx)
{
	struct table *t = table();

	if (!t)
		return XDP_ABORTED;
	t->slots[bucket(ctx->rx_queue_index)]++;
	return XDP_PASS;
}
