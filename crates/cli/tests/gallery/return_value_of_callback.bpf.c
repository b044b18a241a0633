// SPDX-License-Identifier: MIT OR Apache-2.0
// A callback that returns something else than 0 or 1
//
// `bpf_loop` and its like stop at 1 and go on at 0; there is no other.

#include "gallery.h"

static long step(__u64 i, void *data)
{
#ifdef FIX
	return i > 5;
#else
	return i > 5 ? 2 : 0;
#endif
}

SEC("xdp")
int return_value_of_callback(struct xdp_md *ctx)
{
	bpf_loop(10, step, 0, 0);
	return XDP_PASS;
}
