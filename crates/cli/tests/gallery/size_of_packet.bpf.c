// SPDX-License-Identifier: MIT OR Apache-2.0
// The length of the packet is passed as a size
//
// The verifier knows nothing of the difference of two pointers. The context's fields have 32 bits: computed with them, only
// the lower half of the difference could be bounded.

#include "gallery.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, char[1500]);
} copies SEC(".maps");

SEC("xdp")
int size_of_packet(struct xdp_md *ctx)
{
	char *copy = bpf_map_lookup_elem(&copies, &zero);
#ifdef FIX
	__u64 size = (void *)(long)ctx->data_end - (void *)(long)ctx->data;
#else
	__u32 size = ctx->data_end - ctx->data;
#endif

	if (!copy)
		return XDP_PASS;
#ifdef FIX
	barrier_var(size);
	if (size == 0 || size > 1500)
		return XDP_PASS;
#endif
	if (bpf_xdp_load_bytes(ctx, 0, copy, size))
		return XDP_PASS;
	return copy[0] ? XDP_DROP : XDP_PASS;
}
