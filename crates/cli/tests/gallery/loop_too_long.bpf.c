// SPDX-License-Identifier: MIT OR Apache-2.0
// A loop with too many rounds
//
// The verifier walks each round. After a million instructions it gives up.

#include "gallery.h"

#ifdef FIX
static long round(__u64 i, struct table **t)
{
	if ((*t)->slots[i & 15] > i)
		(*t)->slots[0] += i;
	return 0;
}
#endif

SEC("xdp")
int loop_too_long(struct xdp_md *ctx)
{
	struct table *t = table();

	if (!t)
		return XDP_ABORTED;
#ifdef FIX
	bpf_loop(1000000, round, &t, 0);
#else
	for (__u64 i = 0; i < 1000000; i++)
		if (t->slots[i & 15] > i)
			t->slots[0] += i;
#endif
	return XDP_PASS;
}
