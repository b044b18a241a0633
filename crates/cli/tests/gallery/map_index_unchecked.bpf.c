// SPDX-License-Identifier: MIT OR Apache-2.0
// An index from outside is used unchecked
//
// What comes from a packet, a context or user space may be any number.

#include "gallery.h"

SEC("xdp")
int map_index_unchecked(struct xdp_md *ctx)
{
	__u32 index = ctx->rx_queue_index;
	struct table *t = table();

	if (!t)
		return XDP_ABORTED;
#ifdef FIX
	if (index >= 16)
		return XDP_ABORTED;
#endif
	t->slots[index]++;
	return XDP_PASS;
}
