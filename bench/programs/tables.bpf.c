// SPDX-License-Identifier: MIT OR Apache-2.0
// Maps in a map: four hash maps behind an array, one chosen for each of 32 lookups.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} one SEC(".maps"), two SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { &one, &two } };

SEC("tc")
int tables(struct __sk_buff *skb)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < 32; i++) {
		__u32 which = i & 1, key = i & 7;
		void *map = bpf_map_lookup_elem(&outer, &which);
		__u64 *value;

		if (!map)
			continue;
		value = bpf_map_lookup_elem(map, &key);
		if (value) {
			*value = i;
			sum += *value + key;
		}
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
