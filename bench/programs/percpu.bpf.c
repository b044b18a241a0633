// SPDX-License-Identifier: MIT OR Apache-2.0
// Counters of this CPU: 64 lookups in a per-CPU array, and of every fourth one in a per-CPU hash map.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} rare SEC(".maps");

SEC("tc")
int percpu(struct __sk_buff *skb)
{
	__u32 done = 0;

	for (__u32 i = 0; i < 64; i++) {
		__u32 key = i * 5 & 63;
		__u64 *count = bpf_map_lookup_elem(&counters, &key), one = 1;

		if (count) {
			*count += skb->len;
			done++;
		}
		if (i & 3)
			continue;
		count = bpf_map_lookup_elem(&rare, &key);
		if (count)
			*count += 1;
		else
			bpf_map_update_elem(&rare, &key, &one, BPF_ANY);
		done++;
	}
	return done;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
