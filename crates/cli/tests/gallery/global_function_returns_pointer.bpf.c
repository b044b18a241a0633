// SPDX-License-Identifier: MIT OR Apache-2.0
// A global function returns a pointer
//
// Functions that are not static give numbers only: of anything else the verifier would know nothing.

#include "gallery.h"

#ifdef FIX
static
#endif
__noinline struct table *find(__u32 key)
{
	return bpf_map_lookup_elem(&tables, &key);
}

SEC("xdp")
int global_function_returns_pointer(struct xdp_md *ctx)
{
	struct table *t = find(ctx->rx_queue_index);

	if (t)
		t->slots[0]++;
	return XDP_PASS;
}
