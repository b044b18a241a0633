// SPDX-License-Identifier: MIT OR Apache-2.0
// An index that is passed to a function has no bound
//
// The function is walked into with what its caller knows of the arguments.

#include "gallery.h"

static __noinline void count(struct table *t, __u64 index)
{
	t->slots[index]++;
}

SEC("xdp")
int bound_in_called_function(struct xdp_md *ctx)
{
	struct table *t = table();
	__u64 index = ctx->rx_queue_index;

	if (!t)
		return XDP_ABORTED;
#ifdef FIX
	index &= 15;
#endif
	count(t, index);
	return XDP_PASS;
}
