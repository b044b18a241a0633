// SPDX-License-Identifier: MIT OR Apache-2.0
// Nothing: what it costs to enter a program.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int empty(struct __sk_buff *skb)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
