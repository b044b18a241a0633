// SPDX-License-Identifier: MIT OR Apache-2.0
// A size that is checked against the wrong buffer
//
// The bound must be that of the buffer that is used.

#include "gallery.h"

SEC("tc")
int size_too_large(struct __sk_buff *ctx)
{
	char buffer[64] = {};
	__u32 size = ctx->mark;

#ifdef FIX
	if (size > sizeof(buffer) || size == 0)
#else
	if (size > 128 || size == 0)
#endif
		return 0;
	bpf_skb_load_bytes(ctx, 0, buffer, size);
	return buffer[0];
}
