// SPDX-License-Identifier: MIT OR Apache-2.0
// Packet parsing: type, length, value records of the packet, at most 128, summed up by type.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int parse(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u32 sum = 0, at = 14;

	for (int i = 0; i < 128; i++) {
		__u8 *record = data + (at & 0x3ff);

		if ((void *)(record + 4) > end)
			break;
		__u32 kind = record[0] & 3, length = record[1] & 15;

		if (kind == 0)
			sum += length;
		else if (kind == 1)
			sum ^= (__u32)record[2] << 8 | record[3];
		else if (kind == 2)
			sum += *(__u16 *)(record + 2);
		at += 4 + length;
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
