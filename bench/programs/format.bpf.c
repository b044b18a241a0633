// SPDX-License-Identifier: MIT OR Apache-2.0
// Numbers to text: 32 numbers written in decimal into a buffer on the stack, which is then hashed.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int format(struct __sk_buff *skb)
{
	__u32 x = skb->len, hash = 2166136261u;

	for (int i = 0; i < 32; i++) {
		char text[16] = {};
		__u32 number, at = 15;

		x = x * 1664525 + 1013904223;
		number = x >> (i & 15);
		for (int digit = 0; digit < 10; digit++) {
			text[at & 15] = '0' + number % 10;
			at--;
			number /= 10;
			if (!number)
				break;
		}
		for (int j = 0; j < 16; j++)
			hash = (hash ^ (__u8)text[j]) * 16777619;
	}
	return hash & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
