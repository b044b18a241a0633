// SPDX-License-Identifier: MIT OR Apache-2.0
// A constant is written
//
// `const volatile` variables lie in a map that is frozen and read-only for programs.

#include "gallery.h"

#ifdef FIX
volatile __u32 limit = 5;
#else
const volatile __u32 limit = 5;
#endif

SEC("xdp")
int write_rodata(struct xdp_md *ctx)
{
	*(volatile __u32 *)&limit = ctx->rx_queue_index;
	return XDP_PASS;
}
