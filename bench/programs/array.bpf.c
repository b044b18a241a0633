// SPDX-License-Identifier: MIT OR Apache-2.0
// Lookups in an array map: 128 of them, each a read and a write of the value.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} slots SEC(".maps");

SEC("tc")
int array(struct __sk_buff *skb)
{
	__u32 x = skb->len;
	__u64 sum = 0;

	for (int i = 0; i < 128; i++) {
		__u32 key = x >> 16 & 255;
		__u64 *slot = bpf_map_lookup_elem(&slots, &key);

		x = x * 1664525 + 1013904223;
		if (!slot)
			continue;
		sum += *slot & 1;
		*slot = *slot + 2;
	}
	return (sum + x) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
