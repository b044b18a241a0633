// SPDX-License-Identifier: MIT OR Apache-2.0
// An argument of a global function is used untested
//
// A function that is not static is verified for every argument of its types: a pointer may be NULL.

#include "gallery.h"

__noinline int first(struct table *t)
{
#ifdef FIX
	if (!t)
		return 0;
#endif
	return t->slots[0];
}

SEC("xdp")
int global_function_argument(struct xdp_md *ctx)
{
	struct table *t = table();

	return t ? first(t) : XDP_PASS;
}
