// SPDX-License-Identifier: MIT OR Apache-2.0
// Maps in maps, of hashes: a tenant's flows in an array of hashes, its limits in a hash of arrays, 32 times.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct flows {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, __u64);
} flows0 SEC(".maps"), flows1 SEC(".maps");

struct limits {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} limits0 SEC(".maps"), limits1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct flows);
} tenants SEC(".maps") = { .values = { &flows0, &flows1 } };

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct limits);
} ceilings SEC(".maps") = { .values = { &limits0, &limits1 } };

SEC("tc")
int nested(struct __sk_buff *skb)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < 32; i++) {
		__u32 tenant = i & 1, class = i & 3;
		__u64 flow = i % 12, one = 1, *count, *limit;
		void *flows = bpf_map_lookup_elem(&tenants, &tenant);
		void *limits = bpf_map_lookup_elem(&ceilings, &tenant);

		if (!flows || !limits)
			continue;
		count = bpf_map_lookup_elem(flows, &flow);
		if (!count) {
			bpf_map_update_elem(flows, &flow, &one, BPF_ANY);
			continue;
		}
		limit = bpf_map_lookup_elem(limits, &class);
		sum += *count + i;
		if (limit)
			*limit = i;
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
