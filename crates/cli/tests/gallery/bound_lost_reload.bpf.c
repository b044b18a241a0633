// SPDX-License-Identifier: MIT OR Apache-2.0
// A variable is checked, then read again
//
// A variable in a map may change between two reads: what was checked of the first does not hold for the second.

#include "gallery.h"

volatile __u32 wanted;

SEC("xdp")
int bound_lost_reload(struct xdp_md *ctx)
{
	struct table *t = table();
	__u32 index = 0;

	if (!t)
		return XDP_ABORTED;
#ifdef FIX
	index = wanted;
	if (index >= 16)
		return XDP_ABORTED;
#else
	if (wanted >= 16)
		return XDP_ABORTED;
	index = wanted;
#endif
	t->slots[index]++;
	return XDP_PASS;
}
