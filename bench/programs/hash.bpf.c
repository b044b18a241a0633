// SPDX-License-Identifier: MIT OR Apache-2.0
// Rotations, multiplications and byte order: a 64-bit mixing hash of the packet's first 512 bytes.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define ROTATE(x, n) (((x) << (n)) | ((x) >> (64 - (n))))

SEC("tc")
int hash(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u64 a = 0x9e3779b97f4a7c15ull, b = skb->len;

	for (int i = 0; i < 64; i++) {
		__u64 *word = data + 8 * i;

		if ((void *)(word + 1) > end)
			break;
		a ^= bpf_be64_to_cpu(*word);
		a = ROTATE(a, 31) * 0xbf58476d1ce4e5b9ull;
		b += ROTATE(a, 7);
		b = b * 5 + 0x52dce729;
	}
	a ^= b;
	a ^= a >> 33;
	return a & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
