// SPDX-License-Identifier: MIT OR Apache-2.0
// A size that may be 0
//
// Some helpers refuse to do nothing.

#include "gallery.h"

SEC("tc")
int size_zero(struct __sk_buff *ctx)
{
	char buffer[64] = {};
	__u32 size = ctx->mark & 63;

#ifdef FIX
	if (size == 0)
		return 0;
#endif
	bpf_skb_load_bytes(ctx, 0, buffer, size);
	return buffer[0];
}
