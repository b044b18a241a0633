// SPDX-License-Identifier: MIT OR Apache-2.0
// A variable is used that was never initialised
//
// The compiler may leave out what follows from reading it; newer ones put a call there that the kernel refuses.

#include "gallery.h"

static __noinline int choose(int number)
{
#ifdef FIX
	int result = 0;
#else
	int result;
#endif

	if (number == 1)
		result = 3;
	else if (number == 2)
		result = 4;
#ifndef FIX
	else
		__builtin_unreachable();
	if (number == 2)
		__builtin_trap();
#endif
	return result;
}

SEC("xdp")
int variable_uninitialised(struct xdp_md *ctx)
{
	return choose(ctx->rx_queue_index);
}
