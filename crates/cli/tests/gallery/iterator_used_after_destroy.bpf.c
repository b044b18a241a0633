// SPDX-License-Identifier: MIT OR Apache-2.0
// An iterator is used after it was destroyed
//
// It must be made anew.

#include "gallery.h"

struct bpf_iter_num {
	__u64 opaque;
};

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

SEC("xdp")
int iterator_used_after_destroy(struct xdp_md *ctx)
{
	struct bpf_iter_num it;
	int *i, sum = 0;

	bpf_iter_num_new(&it, 0, 10);
	while ((i = bpf_iter_num_next(&it)))
		sum += *i;
	bpf_iter_num_destroy(&it);
#ifdef FIX
	bpf_iter_num_new(&it, 0, 20);
#endif
	while ((i = bpf_iter_num_next(&it)))
		sum += *i;
#ifdef FIX
	bpf_iter_num_destroy(&it);
#endif
	return sum & 1;
}
