// SPDX-License-Identifier: MIT OR Apache-2.0
// A loop whose counter does not change
//
// The loop comes back to where it was: it never ends.

#include "gallery.h"

SEC("xdp")
int loop_infinite(struct xdp_md *ctx)
{
	struct table *t = table();
	__u64 i = 0;

	if (!t)
		return XDP_ABORTED;
	while (*(volatile __u64 *)&t->slots[0] != 7) {
#ifdef FIX
		if (++i > 100)
			break;
#endif
	}
	return i;
}
