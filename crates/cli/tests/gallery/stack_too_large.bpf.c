// SPDX-License-Identifier: MIT OR Apache-2.0
// Functions that need more than 512 bytes of stack together
//
// The stack is 512 bytes for a function and all those that it is called by.

#include "gallery.h"

#ifdef FIX
#define SIZE 128
#else
#define SIZE 300
#endif

static __noinline int inner(volatile char *out)
{
	volatile char buffer[SIZE] = {};

	buffer[out[0] & 63] = 1;
	return buffer[1];
}

SEC("xdp")
int stack_too_large(struct xdp_md *ctx)
{
	volatile char buffer[SIZE] = {};

	buffer[0] = ctx->rx_queue_index;
	return inner(buffer) + buffer[1];
}
