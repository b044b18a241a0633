// SPDX-License-Identifier: MIT OR Apache-2.0
// Calls with five arguments, six deep, each with a frame of its own.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define LINK(name, next)                                                                           \
	static __noinline __u64 name(__u64 a, __u64 b, __u64 c, __u64 d, __u64 e)                  \
	{                                                                                          \
		volatile __u64 kept = a ^ e;                                                       \
		__u64 below = next(b + 1, c, d ^ a, e, a);                                         \
                                                                                                   \
		return below * 3 + kept;                                                           \
	}

static __noinline __u64 leaf(__u64 a, __u64 b, __u64 c, __u64 d, __u64 e)
{
	return (a ^ b) + (c ^ d) + e;
}

LINK(fifth, leaf)
LINK(fourth, fifth)
LINK(third, fourth)
LINK(second, third)
LINK(first, second)

SEC("tc")
int chain(struct __sk_buff *skb)
{
	__u64 a = skb->len;

	for (int i = 0; i < 32; i++)
		a = first(a, i, a >> 7, 5, a ^ i);
	return (a ^ a >> 32) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
