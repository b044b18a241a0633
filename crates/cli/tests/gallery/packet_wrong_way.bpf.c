// SPDX-License-Identifier: MIT OR Apache-2.0
// A packet is read where it was found to be too short
//
// A comparison the wrong way round lets only the packets through that are too short.

#include "gallery.h"

SEC("xdp")
int packet_wrong_way(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	__u8 *first = data;

#ifdef FIX
	if (data + 1 > data_end)
#else
	if (data + 1 <= data_end)
#endif
		return XDP_PASS;
	return *first == 0xff ? XDP_DROP : XDP_PASS;
}
