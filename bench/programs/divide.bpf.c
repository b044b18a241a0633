// SPDX-License-Identifier: MIT OR Apache-2.0
// Divisions and remainders: greatest common divisors of 16 pairs by Euclid's algorithm.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int divide(struct __sk_buff *skb)
{
	__u32 x = skb->len, sum = 0;

	for (int i = 0; i < 16; i++) {
		__u32 a, b;

		x = x * 1664525 + 1013904223;
		a = x >> 8 | 1;
		x = x * 1664525 + 1013904223;
		b = x >> 10 | 1;
		for (int step = 0; step < 40 && b; step++) {
			__u32 rest = a % b;

			a = b;
			b = rest;
		}
		sum += a * (i + 1);
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
