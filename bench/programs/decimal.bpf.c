// SPDX-License-Identifier: MIT OR Apache-2.0
// Text to numbers: decimal numbers between other characters in the packet's first 600 bytes, added up.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int decimal(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u64 number = 0, sum = 0;

	for (int i = 0; i < 600; i++) {
		__u8 *byte = data + i;
		__u32 digit;

		if ((void *)(byte + 1) > end)
			break;
		digit = *byte - '0';
		if (digit < 10) {
			number = number * 10 + digit;
		} else {
			sum += number;
			number = 0;
		}
	}
	sum += number;
	return (sum ^ sum >> 32) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
