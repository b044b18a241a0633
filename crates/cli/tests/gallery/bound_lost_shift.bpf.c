// SPDX-License-Identifier: MIT OR Apache-2.0
// A bound is lost by a shift
//
// Of a shift by a variable the verifier knows nothing but that the result is a number, even where the variable is bounded.

#include "gallery.h"

SEC("xdp")
int bound_lost_shift(struct xdp_md *ctx)
{
	__u64 index = ctx->rx_queue_index;
	__u64 shift = ctx->ingress_ifindex;
	struct table *t = table();

	if (!t)
		return XDP_ABORTED;
	index &= 3;
#ifdef FIX
	index <<= 1;
#else
	index <<= shift & 1;
#endif
	t->slots[index]++;
	return XDP_PASS;
}
