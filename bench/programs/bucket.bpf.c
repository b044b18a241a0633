// SPDX-License-Identifier: MIT OR Apache-2.0
// Token buckets: 64 packets over 16 flows, refilled by elapsed time, with 64-bit divisions.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct bucket {
	__u64 tokens, last, rate, burst;
};

struct buckets {
	struct bucket flow[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct buckets);
} flows SEC(".maps");

SEC("tc")
int bucket(struct __sk_buff *skb)
{
	__u32 zero = 0, x = skb->len, passed = 0;
	struct buckets *b = bpf_map_lookup_elem(&flows, &zero);
	__u64 now = 1000000000;

	if (!b)
		return 0;
	for (int i = 0; i < 16; i++) {
		b->flow[i].tokens = 1500 * i;
		b->flow[i].last = now;
		b->flow[i].rate = 1000 + i * 77;
		b->flow[i].burst = 9000;
	}
	for (int i = 0; i < 64; i++) {
		struct bucket *one;
		__u64 tokens, size;

		x = x * 1664525 + 1013904223;
		one = &b->flow[x >> 28];
		size = 64 + (x >> 16 & 1023);
		now += x >> 8 & 0xfffff;
		tokens = one->tokens + (now - one->last) * one->rate / 1000000;
		if (tokens > one->burst)
			tokens = one->burst;
		one->last = now;
		if (tokens >= size) {
			tokens -= size;
			passed++;
		}
		one->tokens = tokens;
	}
	return (passed << 16 ^ b->flow[3].tokens ^ b->flow[9].tokens) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
