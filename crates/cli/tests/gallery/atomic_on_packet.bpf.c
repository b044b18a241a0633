// SPDX-License-Identifier: MIT OR Apache-2.0
// An atomic operation is done on the packet
//
// Packets are no shared memory: a plain addition does.

#include "gallery.h"

SEC("xdp")
int atomic_on_packet(struct xdp_md *ctx)
{
	__u32 *data = (void *)(long)ctx->data;

	if ((void *)(data + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
#ifdef FIX
	*data += 1;
#else
	__sync_fetch_and_add(data, 1);
#endif
	return XDP_PASS;
}
