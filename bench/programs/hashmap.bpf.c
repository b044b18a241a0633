// SPDX-License-Identifier: MIT OR Apache-2.0
// Lookups in a hash map by a connection's addresses and ports: 64 of them, three of four are found.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct flow {
	__u32 source;
	__u32 destination;
	__u16 source_port;
	__u16 destination_port;
	__u32 protocol;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct flow);
	__type(value, __u64);
} flows SEC(".maps");

SEC("tc")
int hashmap(struct __sk_buff *skb)
{
	struct flow flow = { .destination = 0x0100000a, .destination_port = 80, .protocol = 6 };
	__u32 found = 0;

	for (__u32 i = 0; i < 64; i++) {
		__u64 *packets, one = 1;

		flow.source = 0x0a000000 + i * 7;
		flow.source_port = 1024 + i;
		packets = bpf_map_lookup_elem(&flows, &flow);
		if (packets) {
			*packets += 1;
			found += i;
		} else if (i & 3) {
			bpf_map_update_elem(&flows, &flow, &one, BPF_ANY);
			found += i;
		}
	}
	return found + (skb->len & 1);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
