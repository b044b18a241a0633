// SPDX-License-Identifier: MIT OR Apache-2.0
// A tail call into a map that is no program array
//
// Tail calls take their program from a map of type `BPF_MAP_TYPE_PROG_ARRAY`.

#include "gallery.h"

#ifdef FIX
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps");
#else
#define programs tables
#endif

SEC("xdp")
int tail_call_wrong_map(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &programs, 0);
	return XDP_PASS;
}
