// SPDX-License-Identifier: MIT OR Apache-2.0
// What an iterator gives is used at its end
//
// `next` returns NULL when nothing is left, and each of its results may be that.

#include "gallery.h"

struct bpf_iter_num {
	__u64 opaque;
};

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

SEC("xdp")
int iterator_end_used(struct xdp_md *ctx)
{
	struct bpf_iter_num it;
	int *first, number = 0;

	bpf_iter_num_new(&it, ctx->rx_queue_index & 7, 10);
	first = bpf_iter_num_next(&it);
#ifdef FIX
	if (first)
#endif
		number = *first;
	bpf_iter_num_destroy(&it);
	return number & 1 ? XDP_DROP : XDP_PASS;
}
