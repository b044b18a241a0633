// SPDX-License-Identifier: MIT OR Apache-2.0
// A packet offset that may be larger than any packet
//
// Comparisons with `data_end` count only for pointers whose offset is at most 65535.

#include "gallery.h"

SEC("xdp")
int packet_far_offset(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	__u32 off;
	__u8 *at;

	if (data + 4 > data_end)
		return XDP_PASS;
	off = *(__u32 *)data;
#ifdef FIX
	off &= 0x7ff;
#endif
	at = data + off;
	if ((void *)(at + 1) > data_end)
		return XDP_PASS;
	return *at;
}
