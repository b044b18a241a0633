// SPDX-License-Identifier: MIT OR Apache-2.0
// A misaligned access on the stack
//
// Numbers on the stack must be aligned to their size.

#include "gallery.h"

SEC("xdp")
int access_misaligned(struct xdp_md *ctx)
{
	char record[16] __attribute__((aligned(8))) = {};

#ifdef FIX
	char *at = record + 4;
#else
	char *at = record + 5;
#endif

	/* The compiler would split the store if it saw the address. */
	asm volatile("" : "+r"(at));
	*(__u32 *)at = ctx->rx_queue_index;
	asm volatile("" : : "r"(record) : "memory");
	return XDP_PASS;
}
