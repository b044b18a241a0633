// SPDX-License-Identifier: MIT OR Apache-2.0
// A signed size that is compared from above only
//
// A negative number passes the comparison, and is a huge size for the helper.

#include "gallery.h"

SEC("tc")
int size_signed(struct __sk_buff *ctx)
{
	char buffer[64] = {};
#ifdef FIX
	__u32 size = ctx->mark;

	if (size == 0 || size > sizeof(buffer))
		return 0;
#else
	int size = ctx->mark;

	if (size > 64)
		return 0;
#endif
	bpf_skb_load_bytes(ctx, 0, buffer, size);
	return buffer[0];
}
