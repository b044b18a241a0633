// SPDX-License-Identifier: MIT OR Apache-2.0
// A helper that this program type may not call
//
// Which helpers there are depends on the program type.

#include "gallery.h"

SEC("xdp")
int helper_not_for_type(struct xdp_md *ctx)
{
	__u8 first;

#ifdef FIX
	if (bpf_xdp_load_bytes(ctx, 0, &first, 1))
#else
	if (bpf_skb_load_bytes(ctx, 0, &first, 1))
#endif
		return XDP_ABORTED;
	return first == 0xff ? XDP_DROP : XDP_PASS;
}
