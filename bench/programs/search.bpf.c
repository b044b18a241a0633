// SPDX-License-Identifier: MIT OR Apache-2.0
// Dependent loads and branches: 64 binary searches in a sorted table of 256 numbers.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define N 256

struct numbers {
	__u32 v[N];
	// Where a search stands: in memory, so that the verifier forgets the way there.
	volatile __u32 low;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct numbers);
} sorted SEC(".maps");

SEC("tc")
int search(struct __sk_buff *skb)
{
	__u32 zero = 0, x = skb->len, found = 0;
	struct numbers *n = bpf_map_lookup_elem(&sorted, &zero);

	if (!n)
		return 0;
	if (!n->v[N - 1])
		for (__u32 i = 0; i < N; i++)
			n->v[i] = i * 257;
	for (int round = 0; round < 64; round++) {
		n->low = 0;
		x = x * 1664525 + 1013904223;
		for (__u32 step = N / 2; step; step >>= 1)
			if (n->v[(n->low + step) & (N - 1)] <= x >> 16)
				n->low += step;
		found += n->low;
	}
	return found & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
