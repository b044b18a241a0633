// SPDX-License-Identifier: MIT OR Apache-2.0
// Maps: 100 rounds of an array lookup and a hash lookup with update.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

SEC("tc")
int maps(struct __sk_buff *skb)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < 100; i++) {
		__u32 slot = i & 63, key = i * 7;
		__u64 *count = bpf_map_lookup_elem(&counters, &slot);
		__u64 *known, one = 1;

		if (count)
			sum += ++*count;
		known = bpf_map_lookup_elem(&seen, &key);
		if (known)
			sum += ++*known;
		else
			bpf_map_update_elem(&seen, &key, &one, BPF_ANY);
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
