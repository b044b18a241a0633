// SPDX-License-Identifier: MIT OR Apache-2.0
// Connections of IPv6 in a hash map: keys of 40 bytes, values of 64, looked up and written whole.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct flow {
	__u32 from[4], to[4];
	__u16 ports[2];
	__u32 protocol;
};

struct entry {
	__u64 packets, bytes, first, last, flags, rest[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct flow);
	__type(value, struct entry);
} table SEC(".maps");

SEC("tc")
int conntrack(struct __sk_buff *skb)
{
	__u32 sum = 0;

	for (__u32 i = 0; i < 32; i++) {
		struct flow flow = { .to = { 0xb80d0120, 0, 0, 9 }, .protocol = 6 };
		struct entry *entry, now = { .packets = 1, .bytes = skb->len };

		flow.from[0] = 0xb80d0120;
		flow.from[3] = i & 15;
		flow.ports[0] = i & 15;
		flow.ports[1] = 443;
		entry = bpf_map_lookup_elem(&table, &flow);
		if (entry) {
			entry->packets++;
			entry->bytes += skb->len;
			sum++;
		} else {
			sum++;
		}
		if (!entry || (i & 7) == 0)
			bpf_map_update_elem(&table, &flow, &now, BPF_ANY);
	}
	return sum;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
