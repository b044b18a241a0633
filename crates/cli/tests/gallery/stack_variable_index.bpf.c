// SPDX-License-Identifier: MIT OR Apache-2.0
// A buffer on the stack is indexed with an unchecked number
//
// The stack is memory like any other: an index into it needs a bound.

#include "gallery.h"

SEC("xdp")
int stack_variable_index(struct xdp_md *ctx)
{
	volatile char name[16] = "panal";
	__u32 index = ctx->rx_queue_index;

#ifdef FIX
	if (index >= sizeof(name))
		return XDP_ABORTED;
#endif
	return name[index];
}
