// SPDX-License-Identifier: MIT OR Apache-2.0
// A histogram of logarithms: slots of 256 latencies, found by halves, counted in a map's value.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct slots {
	__u32 slot[32];
	__u64 total;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slots);
} latencies SEC(".maps");

static __always_inline __u64 log2u(__u32 v)
{
	__u32 r, shift;

	r = (v > 0xffff) << 4;
	v >>= r;
	shift = (v > 0xff) << 3;
	v >>= shift;
	r |= shift;
	shift = (v > 0xf) << 2;
	v >>= shift;
	r |= shift;
	shift = (v > 0x3) << 1;
	v >>= shift;
	r |= shift;
	r |= v >> 1;
	return r;
}

SEC("tc")
int histogram(struct __sk_buff *skb)
{
	__u32 zero = 0, sum = 0;
	__u64 x = skb->len;
	struct slots *s = bpf_map_lookup_elem(&latencies, &zero);

	if (!s)
		return 0;
	for (int i = 0; i < 32; i++)
		s->slot[i] = 0;
	for (int i = 0; i < 256; i++) {
		__u64 latency, slot;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		latency = x >> (x & 63);
		slot = latency >> 32 ? log2u(latency >> 32) + 32 : log2u(latency);
		if (slot > 31)
			slot = 31;
		s->slot[slot]++;
		s->total += latency;
	}
	for (int i = 0; i < 32; i++)
		sum = sum * 31 + s->slot[i];
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
