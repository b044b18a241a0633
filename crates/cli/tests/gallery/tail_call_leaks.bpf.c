// SPDX-License-Identifier: MIT OR Apache-2.0
// A tail call leaves the program while it holds a record
//
// A tail call that succeeds does not come back.

#include "gallery.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps");

SEC("xdp")
int tail_call_leaks(struct xdp_md *ctx)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		return XDP_PASS;
	e->pid = ctx->rx_queue_index;
#ifdef FIX
	bpf_ringbuf_submit(e, 0);
	bpf_tail_call(ctx, &programs, 0);
#else
	bpf_tail_call(ctx, &programs, 0);
	bpf_ringbuf_submit(e, 0);
#endif
	return XDP_PASS;
}
