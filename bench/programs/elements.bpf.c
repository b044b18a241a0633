// SPDX-License-Identifier: MIT OR Apache-2.0
// `bpf_for_each_map_elem` over an array of 64 and a hash map of 32 elements.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32);
	__type(key, __u32);
	__type(value, __u64);
} hash SEC(".maps");

static long add(void *map, __u32 *key, __u64 *value, __u64 *sum)
{
	*value += *key;
	*sum += *value ^ *key;
	*value -= *key;
	return 0;
}

SEC("tc")
int elements(struct __sk_buff *skb)
{
	__u64 sum = skb->len;

	for (__u32 i = 0; i < 32; i++) {
		__u32 key = i;
		__u64 value = i * 3;

		if (!bpf_map_lookup_elem(&hash, &key))
			bpf_map_update_elem(&hash, &key, &value, 0);
	}
	bpf_for_each_map_elem(&array, add, &sum, 0);
	bpf_for_each_map_elem(&hash, add, &sum, 0);
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
