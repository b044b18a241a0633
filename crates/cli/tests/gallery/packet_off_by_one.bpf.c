// SPDX-License-Identifier: MIT OR Apache-2.0
// A packet is checked for one byte too few
//
// The comparison must cover the last byte that is read.

#include "gallery.h"

SEC("xdp")
int packet_off_by_one(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;

#ifdef FIX
	if (data + 14 > data_end)
#else
	if (data + 13 > data_end)
#endif
		return XDP_PASS;
	return *(__u16 *)(data + 12) == bpf_htons(0x0800) ? XDP_DROP : XDP_PASS;
}
