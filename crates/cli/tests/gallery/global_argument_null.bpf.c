// SPDX-License-Identifier: MIT OR Apache-2.0
// A global function does not test its pointers
//
// It is verified for every argument of its types, whatever its callers pass.

#include "gallery.h"

#ifndef __arg_nonnull
#define __arg_nonnull __attribute__((btf_decl_tag("arg:nonnull")))
#endif

#ifdef FIX
__noinline int sum(struct table *t __arg_nonnull)
#else
__noinline int sum(struct table *t)
#endif
{
	return t->slots[0] + t->slots[1];
}

SEC("xdp")
int global_argument_null(struct xdp_md *ctx)
{
	struct table *t = table();

	if (!t)
		return XDP_PASS;
	return sum(t) ? XDP_DROP : XDP_PASS;
}
