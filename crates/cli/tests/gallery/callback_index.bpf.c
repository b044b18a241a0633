// SPDX-License-Identifier: MIT OR Apache-2.0
// The index of bpf_loop() is used without a comparison
//
// The callback is verified once, for any index: how often it is called is not looked at.

#include "gallery.h"

static long add(__u64 index, void *data)
{
	struct table *t = *(struct table **)data;

#ifdef FIX
	if (index >= 16)
		return 1;
#endif
	t->slots[index]++;
	return 0;
}

SEC("xdp")
int callback_index(struct xdp_md *ctx)
{
	struct table *t = table();

	if (!t)
		return XDP_PASS;
	bpf_loop(16, add, &t, 0);
	return XDP_PASS;
}
