// SPDX-License-Identifier: MIT OR Apache-2.0
// A pointer that may be NULL is added to
//
// An offset is added before the test: NULL plus something is no longer NULL.

#include "gallery.h"

SEC("xdp")
int null_arithmetic(struct xdp_md *ctx)
{
	struct table *t = table();
	__u64 *second;

#ifdef FIX
	if (!t)
		return XDP_ABORTED;
	second = &t->slots[1];
#else
	second = &t->slots[1];
	asm volatile("" : "+r"(second));
	if (!second)
		return XDP_ABORTED;
#endif
	return *second;
}
