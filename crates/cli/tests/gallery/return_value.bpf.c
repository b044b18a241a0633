// SPDX-License-Identifier: MIT OR Apache-2.0
// A return value that the program type does not allow
//
// What a program may return depends on its type and where it is attached.

#include "gallery.h"

SEC("cgroup_skb/ingress")
int return_value(struct __sk_buff *ctx)
{
#ifdef FIX
	return ctx->len > 100;
#else
	return ctx->len;
#endif
}
