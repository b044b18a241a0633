// SPDX-License-Identifier: MIT OR Apache-2.0
// Memory of the stack: an insertion sort of 24 numbers there, then their running exclusive or.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define N 24

SEC("tc")
int stack(struct __sk_buff *skb)
{
	__u32 v[N], x = skb->len * 2654435761u + 1, sum = 0;

	for (int i = 0; i < N; i++) {
		x = x * 1664525 + 1013904223;
		v[i] = x >> 8;
	}
	for (int i = 1; i < N; i++) {
#pragma clang loop unroll(disable)
		for (int j = N - 1; j > 0; j--) {
			__u32 a = v[j - 1], b = v[j];

			v[j - 1] = a < b ? a : b;
			v[j] = a < b ? b : a;
		}
	}
	for (int i = 0; i < N; i++)
		sum = (sum << 1 | sum >> 31) ^ v[i];
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
