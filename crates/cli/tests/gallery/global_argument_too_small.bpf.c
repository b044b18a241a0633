// SPDX-License-Identifier: MIT OR Apache-2.0
// A global function gets less memory than its parameter's type has
//
// The function is verified on its own, for memory of the declared type: callers must bring as much.

#include "gallery.h"

__noinline int first(struct table *t)
{
	return t ? t->slots[0] : 0;
}

SEC("xdp")
int global_argument_too_small(struct xdp_md *ctx)
{
#ifdef FIX
	__u64 slots[16] = {};
#else
	__u64 slots[4] = {};
#endif

	return first((struct table *)slots) ? XDP_DROP : XDP_PASS;
}
