// SPDX-License-Identifier: MIT OR Apache-2.0
// The longest prefix of IPv6 addresses: 32 lookups among 64 routes, five of them above one another.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct prefix {
	__u32 bits;
	__u8 address[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 256);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u64);
} routes SEC(".maps");

SEC("tc")
int routes6(struct __sk_buff *skb)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < 64; i++) {
		struct prefix route = { .bits = 48, .address = { 0x20, 1, 0xd, 0xb8, 0, i } };
		__u64 hop = i;

		if (i < 5) {
			route.bits = 16 + 8 * i;
			route.address[5] = 0;
		}
		if (!bpf_map_lookup_elem(&routes, &route))
			bpf_map_update_elem(&routes, &route, &hop, 0);
		i += 3;
	}
	for (__u32 i = 0; i < 32; i++) {
		struct prefix to = { .bits = 128, .address = { 0x20, 1, 0xd, 0xb8, 0, i } };
		__u64 *hop;

		to.address[15] = i;
		hop = bpf_map_lookup_elem(&routes, &to);
		if (hop)
			sum += *hop + i;
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
