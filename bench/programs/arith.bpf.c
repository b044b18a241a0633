// SPDX-License-Identifier: MIT OR Apache-2.0
// Arithmetic in registers: a xorshift generator, 1,000 rounds.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int arith(struct __sk_buff *skb)
{
	__u64 x = skb->len | 1;

	for (int i = 0; i < 1000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		x *= 0x2545f4914f6cdd1dULL;
	}
	return (x >> 32) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
