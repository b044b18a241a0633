// SPDX-License-Identifier: MIT OR Apache-2.0
// An index bounded by a remainder
//
// The compiler computes `% 10` by a multiplication, after which the verifier knows no bound.

#include "gallery.h"

SEC("xdp")
int remainder(struct xdp_md *ctx)
{
	struct table *t = table();
	__u32 index = ctx->rx_queue_index % 10;

	if (!t)
		return XDP_PASS;
#ifdef FIX
	barrier_var(index);
	if (index >= 10)
		return XDP_PASS;
#endif
	t->slots[index]++;
	return XDP_PASS;
}
