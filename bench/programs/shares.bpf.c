// SPDX-License-Identifier: MIT OR Apache-2.0
// Per-CPU values: a per-CPU hash of 32 keys updated, and sums over an array of all CPUs' values.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} own SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} cells SEC(".maps");

SEC("tc")
int shares(struct __sk_buff *skb)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < 32; i++) {
		__u32 key = i, cell = i & 15;
		__u64 value = i * 3, *at;

		bpf_map_update_elem(&own, &key, &value, BPF_ANY);
		at = bpf_map_lookup_elem(&own, &key);
		if (at)
			sum += *at;
		at = bpf_map_lookup_elem(&cells, &cell);
		if (at)
			*at = i;
		at = bpf_map_lookup_percpu_elem(&cells, &cell, bpf_get_smp_processor_id());
		if (at)
			sum += *at;
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
