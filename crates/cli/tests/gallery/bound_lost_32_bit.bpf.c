// SPDX-License-Identifier: MIT OR Apache-2.0
// Only the lower half of a 64-bit number is checked
//
// The comparison looks at 32 bits, the access uses all 64.

#include "gallery.h"

SEC("xdp")
int bound_lost_32_bit(struct xdp_md *ctx)
{
	struct table *t = table();
	__u64 index;

	if (!t)
		return XDP_ABORTED;
	index = t->slots[0];
#ifdef FIX
	if (index >= 16)
#else
	if ((__u32)index >= 16)
#endif
		return XDP_ABORTED;
	t->slots[index]++;
	return XDP_PASS;
}
