// SPDX-License-Identifier: MIT OR Apache-2.0
// A heap: 48 numbers of a map's value sorted by heap sort.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define N 48

struct numbers {
	__u32 v[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct numbers);
} scratch SEC(".maps");

static __always_inline void sift(struct numbers *n, __u32 at, __u32 count)
{
	for (int i = 0; i < 6; i++) {
		__u32 child = at * 2 + 1, a, b;

		if (child >= count)
			break;
		b = n->v[child & 63];
		if (child + 1 < count && n->v[(child + 1) & 63] > b)
			b = n->v[++child & 63];
		a = n->v[at & 63];
		if (a >= b)
			break;
		n->v[at & 63] = b;
		n->v[child & 63] = a;
		at = child;
	}
}

SEC("tc")
int heap(struct __sk_buff *skb)
{
	__u32 zero = 0, x = skb->len, sum = 0;
	struct numbers *n = bpf_map_lookup_elem(&scratch, &zero);

	if (!n)
		return 0;
	for (int i = 0; i < N; i++) {
		x = x * 1664525 + 1013904223;
		n->v[i] = x >> 8;
	}
	for (int i = N / 2 - 1; i >= 0; i--)
		sift(n, i, N);
	for (int i = N - 1; i > 0; i--) {
		__u32 top = n->v[0];

		n->v[0] = n->v[i];
		n->v[i] = top;
		sift(n, 0, i);
	}
	for (int i = 0; i < N; i++)
		sum = sum * 3 + n->v[i];
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
