// SPDX-License-Identifier: MIT OR Apache-2.0
// Routes by longest prefix: 32 addresses looked up in a trie map of 64 routes.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct net {
	__u32 prefix;
	__u8 address[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 128);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct net);
	__type(value, __u32);
} table SEC(".maps");

SEC("tc")
int routes(struct __sk_buff *skb)
{
	struct net probe = { 32, { 10, 63, 0, 1 } };
	__u32 sum = 0;

	if (!bpf_map_lookup_elem(&table, &probe)) {
		for (__u32 i = 0; i < 64; i++) {
			struct net net = { 8 + (i & 16), { 10, i, i * 3, 0 } };
			__u32 value;

			if (i == 63)
				net.prefix = 8;
			value = i;
			bpf_map_update_elem(&table, &net, &value, BPF_ANY);
		}
	}
	for (__u32 i = 0; i < 32; i++) {
		struct net at = { 32, { 10 + (i & 1), i * 5, i * 15, i } };
		__u32 *route = bpf_map_lookup_elem(&table, &at);

		sum = sum * 3 + (route ? *route : 99);
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
