// SPDX-License-Identifier: MIT OR Apache-2.0
// Nested loops over memory: the product of two matrices of 12 by 12 numbers in a map's value.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define N 12

struct matrices {
	__u32 a[N][N];
	__u32 b[N][N];
	__u32 c[N][N];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct matrices);
} factors SEC(".maps");

SEC("tc")
int matrix(struct __sk_buff *skb)
{
	__u32 zero = 0, x = skb->len, sum = 0;
	struct matrices *m = bpf_map_lookup_elem(&factors, &zero);

	if (!m)
		return 0;
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			x = x * 1664525 + 1013904223;
			m->a[i][j] = x >> 16;
			m->b[i][j] = x >> 8;
		}
	}
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			__u32 dot = 0;

			for (int k = 0; k < N; k++)
				dot += m->a[i][k] * m->b[k][j];
			m->c[i][j] = dot;
		}
	}
	for (int i = 0; i < N; i++)
		sum ^= m->c[i][N - 1 - i] + m->c[i][i] * (i + 1);
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
