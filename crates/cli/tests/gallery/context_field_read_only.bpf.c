// SPDX-License-Identifier: MIT OR Apache-2.0
// A context field is written that is read-only
//
// Only some fields of a context may be written, and which depends on the program type.

#include "gallery.h"

SEC("tc")
int context_field_read_only(struct __sk_buff *ctx)
{
#ifdef FIX
	ctx->mark = 100;
#else
	ctx->len = 100;
#endif
	return 0;
}
