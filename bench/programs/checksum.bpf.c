// SPDX-License-Identifier: MIT OR Apache-2.0
// Packet memory: the Internet checksum (RFC 1071) of up to 1,024 bytes, by 16-bit words.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int checksum(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u32 sum = 0;

	for (int i = 0; i < 512; i++) {
		__u16 *word = data + 2 * i;

		if ((void *)(word + 1) > end)
			break;
		sum += *word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
