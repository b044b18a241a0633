// SPDX-License-Identifier: MIT OR Apache-2.0
// A byte at a time: FNV-1a, 64 bits, over the packet's first 512 bytes.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int fnv(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u64 hash = 0xcbf29ce484222325ull;

	for (int i = 0; i < 512; i++) {
		__u8 *byte = data + i;

		if ((void *)(byte + 1) > end)
			break;
		hash ^= *byte;
		hash *= 0x100000001b3ull;
	}
	return (hash ^ hash >> 32) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
