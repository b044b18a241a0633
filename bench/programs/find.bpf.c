// SPDX-License-Identifier: MIT OR Apache-2.0
// A string searched: how often one of four bytes stands in the packet's first 400 bytes, tried place by place.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int find(struct __sk_buff *skb)
{
	__u8 *data = (__u8 *)(long)skb->data;
	__u8 *end = (__u8 *)(long)skb->data_end;
	__u32 count = 0, last = 0;

	for (int i = 0; i < 400; i++) {
		__u8 *at = data + i;

		if (at + 4 > end)
			break;
		if (at[0] != 'G' || at[1] != 'E' || at[2] != 'T' || at[3] != ' ')
			continue;
		count++;
		last = i;
	}
	return (count << 16 | last) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
