// SPDX-License-Identifier: MIT OR Apache-2.0
// Connections in an LRU hash map: 48 packets of 40 flows, looked up, counted, put in.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct flow {
	__u32 from, to;
	__u16 ports[2];
	__u32 protocol;
};

struct count {
	__u64 packets, bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct flow);
	__type(value, struct count);
} table SEC(".maps");

SEC("tc")
int flows(struct __sk_buff *skb)
{
	__u32 x = skb->len, sum = 0;

	for (int i = 0; i < 48; i++) {
		struct flow flow = { .protocol = 6 };
		struct count *count, one = { 1, 60 };

		x = x * 1664525 + 1013904223;
		flow.from = 0x0a000000 | (x >> 24) % 40;
		flow.to = 0xc0a80001;
		flow.ports[0] = 1024 + (x >> 24) % 40;
		flow.ports[1] = 443;
		count = bpf_map_lookup_elem(&table, &flow);
		if (count) {
			count->packets++;
			count->bytes += 60;
			sum += flow.ports[0];
		} else {
			bpf_map_update_elem(&table, &flow, &one, BPF_ANY);
			sum += flow.ports[0];
		}
		if ((i & 7) == 7)
			bpf_map_update_elem(&table, &flow, &one, BPF_ANY);
		if ((i & 15) == 15)
			bpf_map_delete_elem(&table, &flow);
	}
	return sum;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
