// SPDX-License-Identifier: MIT OR Apache-2.0
// The result of a lookup is used untested
//
// A lookup returns NULL when there is no such element; in arrays, too, as far as the verifier knows.

#include "gallery.h"

SEC("xdp")
int null_not_tested(struct xdp_md *ctx)
{
	struct table *t = table();

#ifdef FIX
	if (!t)
		return XDP_ABORTED;
#endif
	t->slots[0]++;
	return XDP_PASS;
}
