// SPDX-License-Identifier: MIT OR Apache-2.0
// A block cipher in the manner of AES: ten rounds over sixteen bytes, substitution by a table.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct state {
	__u8 box[256];
	__u8 s[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct state);
} states SEC(".maps");

static __always_inline __u8 twice(__u8 x)
{
	return x << 1 ^ (x >> 7) * 0x1b;
}

SEC("tc")
int aes(struct __sk_buff *skb)
{
	__u32 zero = 0, sum = 0;
	struct state *t = bpf_map_lookup_elem(&states, &zero);

	if (!t)
		return 0;
	for (int i = 0; i < 256; i++)
		t->box[i] = i * 167 + 99;
	for (int i = 0; i < 16; i++)
		t->s[i] = skb->len * 7 + i;
	for (int round = 0; round < 10; round++) {
		__u8 next[16];

		for (int i = 0; i < 16; i++)
			next[i] = t->box[t->s[(i * 5) & 15]];
		for (int c = 0; c < 16; c += 4) {
			__u8 a = next[c], b = next[c + 1], d = next[c + 2], e = next[c + 3];
			__u8 all = a ^ b ^ d ^ e;

			t->s[c] = a ^ all ^ twice(a ^ b) ^ round;
			t->s[c + 1] = b ^ all ^ twice(b ^ d);
			t->s[c + 2] = d ^ all ^ twice(d ^ e);
			t->s[c + 3] = e ^ all ^ twice(e ^ a);
		}
	}
	for (int i = 0; i < 16; i++)
		sum = sum * 31 + t->s[i];
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
