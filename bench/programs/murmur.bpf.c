// SPDX-License-Identifier: MIT OR Apache-2.0
// 32-bit multiplications and rotations: MurmurHash3 over the packet's first 512 bytes.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ROTATE(x, n) (((x) << (n)) | ((x) >> (32 - (n))))

SEC("tc")
int murmur(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u32 hash = skb->len;

	for (int i = 0; i < 128; i++) {
		__u32 *word = data + 4 * i, k;

		if ((void *)(word + 1) > end)
			break;
		k = *word * 0xcc9e2d51;
		k = ROTATE(k, 15) * 0x1b873593;
		hash ^= k;
		hash = ROTATE(hash, 13) * 5 + 0xe6546b64;
	}
	hash ^= 512;
	hash ^= hash >> 16;
	hash *= 0x85ebca6b;
	hash ^= hash >> 13;
	hash *= 0xc2b2ae35;
	hash ^= hash >> 16;
	return hash & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
