// SPDX-License-Identifier: MIT OR Apache-2.0
// The context is accessed at a variable offset
//
// The context is no memory: each access must be at a constant offset of the context itself.

#include "gallery.h"

SEC("tc")
int context_modified(struct __sk_buff *ctx)
{
#ifdef FIX
	return ctx->mark & 1 ? ctx->cb[1] == 7 : ctx->cb[0] == 3;
#else
	return ctx->cb[ctx->mark & 1] == 7;
#endif
}
