// SPDX-License-Identifier: MIT OR Apache-2.0
// A packet pointer is used after a helper that may move the packet
//
// Helpers that change the packet may move it in memory. All pointers into it, and all that was checked of them, are void.

#include "gallery.h"
#include <linux/if_ether.h>

SEC("tc")
int packet_lost_after_helper(struct __sk_buff *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > data_end)
		return 0;
	bpf_skb_pull_data(ctx, 64);
#ifdef FIX
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	eth = data;
	if ((void *)(eth + 1) > data_end)
		return 0;
#endif
	return eth->h_proto == bpf_htons(ETH_P_IP) ? 2 : 0;
}
