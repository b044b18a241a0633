// SPDX-License-Identifier: MIT OR Apache-2.0
// Calls between functions of the program: two deep, with values kept across them.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __noinline __u32 mix(__u32 a, __u32 b)
{
	a ^= b >> 5;
	return a * 2654435761u;
}

static __noinline __u32 twice(__u32 a, __u32 b)
{
	__u32 first = mix(a, b);

	return first + mix(b, first);
}

SEC("tc")
int calls(struct __sk_buff *skb)
{
	__u32 a = skb->len;

	for (int i = 0; i < 128; i++)
		a = twice(a, i);
	return a & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
