// SPDX-License-Identifier: MIT OR Apache-2.0
// A packet is read without a look at its length
//
// A packet may have any length. Before any byte is read, the program must compare with `data_end`.

#include "gallery.h"
#include <linux/if_ether.h>

SEC("xdp")
int packet_unchecked(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

#ifdef FIX
	if ((void *)(eth + 1) > data_end)
		return XDP_PASS;
#endif
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return XDP_DROP;
	return data == data_end ? XDP_ABORTED : XDP_PASS;
}
