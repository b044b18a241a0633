// SPDX-License-Identifier: MIT OR Apache-2.0
// A pointer is masked
//
// Aligning a pointer by hand makes it a number.

#include "gallery.h"

SEC("xdp")
int pointer_arithmetic(struct xdp_md *ctx)
{
	struct table *t = table();
	__u64 *slot;

	if (!t)
		return XDP_ABORTED;
	slot = &t->slots[ctx->rx_queue_index & 7];
#ifndef FIX
	asm volatile("%0 &= -16" : "+r"(slot));
#endif
	*slot = 1;
	return XDP_PASS;
}
