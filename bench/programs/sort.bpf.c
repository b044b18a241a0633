// SPDX-License-Identifier: MIT OR Apache-2.0
// Map memory and branches: a bubble sort of 32 numbers in a map's value, then a sum by place.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define N 32

struct numbers {
	__u32 v[N];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct numbers);
} scratch SEC(".maps");

SEC("tc")
int sort(struct __sk_buff *skb)
{
	__u32 zero = 0, x = skb->len * 2654435761u + 1, sum = 0;
	struct numbers *n = bpf_map_lookup_elem(&scratch, &zero);

	if (!n)
		return 0;
	for (int i = 0; i < N; i++) {
		x = x * 1664525 + 1013904223;
		n->v[i] = x >> 8;
	}
	for (int round = 0; round < N; round++) {
		for (int i = 0; i + 1 < N; i++) {
			__u32 a = n->v[i], b = n->v[i + 1];

			if (a > b) {
				n->v[i] = b;
				n->v[i + 1] = a;
			}
		}
	}
	for (int i = 0; i < N; i++)
		sum += n->v[i] * (i + 1);
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
