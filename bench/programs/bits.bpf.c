// SPDX-License-Identifier: MIT OR Apache-2.0
// Bit tricks without tables: population count, leading zeros, reversal and Morton order of 64 words.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __always_inline __u32 ones(__u64 x)
{
	x -= x >> 1 & 0x5555555555555555ull;
	x = (x & 0x3333333333333333ull) + (x >> 2 & 0x3333333333333333ull);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return x * 0x0101010101010101ull >> 56;
}

static __always_inline __u32 leading_zeros(__u64 x)
{
	x |= x >> 1;
	x |= x >> 2;
	x |= x >> 4;
	x |= x >> 8;
	x |= x >> 16;
	x |= x >> 32;
	return 64 - ones(x);
}

static __always_inline __u32 reversed(__u32 x)
{
	x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
	x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
	x = (x >> 4 & 0x0f0f0f0f) | (x & 0x0f0f0f0f) << 4;
	return __builtin_bswap32(x);
}

static __always_inline __u64 spread(__u32 x)
{
	__u64 wide = x & 0xffff;

	wide = (wide | wide << 8) & 0x00ff00ff;
	wide = (wide | wide << 4) & 0x0f0f0f0f;
	wide = (wide | wide << 2) & 0x33333333;
	return (wide | wide << 1) & 0x55555555;
}

SEC("tc")
int bits(struct __sk_buff *skb)
{
	__u64 x = skb->len * 0x9e3779b97f4a7c15ull, sum = 0;

	for (int i = 0; i < 64; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		sum += ones(x) + leading_zeros(x >> (i & 31));
		sum ^= reversed(x) + (spread(x) | spread(x >> 16) << 1);
	}
	return (sum ^ sum >> 32) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
