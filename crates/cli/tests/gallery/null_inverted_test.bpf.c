// SPDX-License-Identifier: MIT OR Apache-2.0
// A pointer is used where it is NULL
//
// A test the wrong way round leaves when there is an element, and goes on when there is none.

#include "gallery.h"

SEC("xdp")
int null_inverted_test(struct xdp_md *ctx)
{
	struct table *t = table();

#ifdef FIX
	if (!t)
#else
	if (t)
#endif
		return XDP_ABORTED;
	return *(volatile __u64 *)&t->slots[1];
}
