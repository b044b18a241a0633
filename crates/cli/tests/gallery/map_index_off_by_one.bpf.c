// SPDX-License-Identifier: MIT OR Apache-2.0
// An index may be as large as the number of elements
//
// `>` where `>=` is meant lets one index too many through.

#include "gallery.h"

SEC("xdp")
int map_index_off_by_one(struct xdp_md *ctx)
{
	__u32 index = ctx->rx_queue_index;
	struct table *t = table();

	if (!t)
		return XDP_ABORTED;
#ifdef FIX
	if (index >= 16)
#else
	if (index > 16)
#endif
		return XDP_DROP;
	t->slots[index]++;
	return XDP_PASS;
}
