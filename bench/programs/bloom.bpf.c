// SPDX-License-Identifier: MIT OR Apache-2.0
// A Bloom filter of 4,096 bits: 32 keys added, 96 asked for, four hashes each.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct filter {
	__u64 bits[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct filter);
} filters SEC(".maps");

static __always_inline __u64 mix(__u64 x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	return x;
}

SEC("tc")
int bloom(struct __sk_buff *skb)
{
	__u32 zero = 0, found = 0;
	struct filter *f = bpf_map_lookup_elem(&filters, &zero);

	if (!f)
		return 0;
	__builtin_memset(f->bits, 0, sizeof(f->bits));
	for (int i = 0; i < 32; i++) {
		__u64 hash = mix(skb->len + i * 3);

		for (int j = 0; j < 4; j++) {
			__u32 bit = hash >> (j * 12) & 4095;

			f->bits[bit >> 6] |= 1ull << (bit & 63);
		}
	}
	for (int i = 0; i < 96; i++) {
		__u64 hash = mix(skb->len + i);
		__u32 all = 1;

		for (int j = 0; j < 4; j++) {
			__u32 bit = hash >> (j * 12) & 4095;

			if (!(f->bits[bit >> 6] >> (bit & 63) & 1)) {
				all = 0;
				break;
			}
		}
		found += all;
	}
	return found;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
