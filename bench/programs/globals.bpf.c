// SPDX-License-Identifier: MIT OR Apache-2.0
// Global subprograms: three functions verified on their own, called in a loop.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__noinline __u64 weigh(__u64 a, __u64 b)
{
	return a * 31 + (b >> 3);
}

__noinline __u64 choose(__u32 kind, __u64 a)
{
	if (kind == 0)
		return a + 7;
	if (kind == 1)
		return a ^ a >> 5;
	return weigh(a, kind);
}

__noinline int settle(__u64 a)
{
	return a & 0xffff;
}

SEC("tc")
int globals(struct __sk_buff *skb)
{
	__u64 sum = skb->len;

	for (int i = 0; i < 96; i++) {
		sum = choose(i % 3, sum + i);
		sum += settle(sum);
	}
	return (sum ^ sum >> 32) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
