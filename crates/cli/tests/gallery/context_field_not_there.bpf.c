// SPDX-License-Identifier: MIT OR Apache-2.0
// A context field that this program type does not have
//
// `data` is for programs that may access packets directly; cgroup programs on sockets may not.

#include "gallery.h"

SEC("socket")
int context_field_not_there(struct __sk_buff *ctx)
{
#ifdef FIX
	return ctx->len;
#else
	return ctx->tstamp != 0;
#endif
}
