// SPDX-License-Identifier: MIT OR Apache-2.0
// A picture of 16 by 16 bytes smoothed by a kernel of 3 by 3, results clamped to bytes.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define N 16

struct picture {
	__u8 from[N][N];
	__u8 to[N][N];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct picture);
} pictures SEC(".maps");

static const __s8 weight[3][3] = { { 1, -2, 1 }, { -2, 12, -2 }, { 1, -2, 1 } };

SEC("tc")
int convolve(struct __sk_buff *skb)
{
	__u32 zero = 0, x = skb->len, sum = 0;
	struct picture *p = bpf_map_lookup_elem(&pictures, &zero);

	if (!p)
		return 0;
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			x = x * 1664525 + 1013904223;
			p->from[i][j] = x >> 24;
		}
	}
	for (int i = 1; i < N - 1; i++) {
		for (int j = 1; j < N - 1; j++) {
			__s32 dot = 0;

			for (int a = 0; a < 3; a++)
				for (int b = 0; b < 3; b++)
					dot += weight[a][b] * p->from[i + a - 1][j + b - 1];
			dot >>= 3;
			p->to[i][j] = dot < 0 ? 0 : dot > 255 ? 255 : dot;
		}
	}
	for (int i = 1; i < N - 1; i++)
		for (int j = 1; j < N - 1; j++)
			sum = sum * 3 + p->to[i][j];
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
