// SPDX-License-Identifier: MIT OR Apache-2.0
// A check does not cover an offset that is added later
//
// Adding a variable makes a new pointer. What was checked before the addition does not hold for it.

#include "gallery.h"

SEC("xdp")
int packet_variable_offset(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	__u8 *options;

	if (data + 34 > data_end)
		return XDP_PASS;
	/* The length of the IP header, in words. */
	options = data + 14 + (*(__u8 *)(data + 14) & 0xf) * 4;
#ifdef FIX
	if ((void *)(options + 1) > data_end)
		return XDP_PASS;
#endif
	return *options == 6 ? XDP_DROP : XDP_PASS;
}
