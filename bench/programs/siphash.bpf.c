// SPDX-License-Identifier: MIT OR Apache-2.0
// 64-bit adds and rotations: SipHash-2-4 over the packet's first 256 bytes.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ROTATE(x, n) (((x) << (n)) | ((x) >> (64 - (n))))
#define ROUND                                                                                      \
	do {                                                                                       \
		v0 += v1; v1 = ROTATE(v1, 13); v1 ^= v0; v0 = ROTATE(v0, 32);                      \
		v2 += v3; v3 = ROTATE(v3, 16); v3 ^= v2;                                           \
		v0 += v3; v3 = ROTATE(v3, 21); v3 ^= v0;                                           \
		v2 += v1; v1 = ROTATE(v1, 17); v1 ^= v2; v2 = ROTATE(v2, 32);                      \
	} while (0)

SEC("tc")
int siphash(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u64 k0 = 0x0706050403020100ull, k1 = 0x0f0e0d0c0b0a0908ull;
	__u64 v0 = k0 ^ 0x736f6d6570736575ull, v1 = k1 ^ 0x646f72616e646f6dull;
	__u64 v2 = k0 ^ 0x6c7967656e657261ull, v3 = k1 ^ 0x7465646279746573ull;
	__u64 last = 256ull << 56;

	for (int i = 0; i < 32; i++) {
		__u64 *word = data + 8 * i;

		if ((void *)(word + 1) > end)
			break;
		v3 ^= *word;
		ROUND;
		ROUND;
		v0 ^= *word;
	}
	v3 ^= last;
	ROUND;
	ROUND;
	v0 ^= last;
	v2 ^= 0xff;
	ROUND;
	ROUND;
	ROUND;
	ROUND;
	return (v0 ^ v1 ^ v2 ^ v3) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
