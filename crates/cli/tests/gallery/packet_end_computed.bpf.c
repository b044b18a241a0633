// SPDX-License-Identifier: MIT OR Apache-2.0
// The end of the packet is computed with
//
// `data_end` is there to be compared with; the arithmetic is done on the other side.

#include "gallery.h"

SEC("xdp")
int packet_end_computed(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;

#ifdef FIX
	if (data + 14 > end)
#else
	if (data > end - 14)
#endif
		return XDP_PASS;
	return data[13] ? XDP_DROP : XDP_PASS;
}
