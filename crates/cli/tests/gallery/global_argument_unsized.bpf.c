// SPDX-License-Identifier: MIT OR Apache-2.0
// A parameter of a global function is a `void` pointer
//
// Where a global function is called, the bytes behind its pointers are checked: there must be so many as its types say.

#include "gallery.h"

#ifdef FIX
__noinline int marked(struct table *t)
#else
__noinline int marked(void *t)
#endif
{
	return t != 0;
}

SEC("xdp")
int global_argument_unsized(struct xdp_md *ctx)
{
	struct table *t = table();

	if (!t)
		return XDP_PASS;
	return marked(t) ? XDP_DROP : XDP_PASS;
}
