// SPDX-License-Identifier: MIT OR Apache-2.0
// Elements of arrays set by `bpf_map_update_elem`, each CPU's by `bpf_map_lookup_percpu_elem`, 32 times.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sample {
	__u64 bytes, packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct sample);
} last SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct sample);
} own SEC(".maps");

SEC("tc")
int counters(struct __sk_buff *skb)
{
	__u32 cpu = bpf_get_smp_processor_id();
	__u64 sum = 0;

	for (__u32 i = 0; i < 32; i++) {
		__u32 class = i & 15;
		struct sample sample = { .bytes = i * 100, .packets = i }, *seen;

		sum += bpf_map_update_elem(&last, &class, &sample, BPF_ANY);
		sum += bpf_map_update_elem(&own, &class, &sample, BPF_ANY);
		seen = bpf_map_lookup_percpu_elem(&own, &class, cpu);
		if (seen)
			sum += seen->bytes + seen->packets;
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
