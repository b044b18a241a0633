// SPDX-License-Identifier: MIT OR Apache-2.0
// Branches on bytes: characters of UTF-8 in the packet's first 512 bytes decoded; what is none counts as a fault.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int utf8(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u32 sum = 0;
	// In memory, so that the verifier forgets the way there.
	volatile __u32 wanted = 0, character = 0, faults = 0;

	for (int i = 0; i < 512; i++) {
		__u8 *at = data + i, byte;

		if ((void *)(at + 1) > end)
			break;
		byte = *at;
		if (byte < 0x80) {
			faults += wanted != 0;
			wanted = 0;
			sum += byte;
		} else if (byte < 0xc0) {
			if (!wanted) {
				faults++;
				continue;
			}
			character = character << 6 | (byte & 0x3f);
			if (--wanted == 0)
				sum = sum * 3 + character;
		} else {
			faults += wanted != 0;
			wanted = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
			character = byte & (0x3f >> wanted);
		}
	}
	return (sum + faults) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
