// SPDX-License-Identifier: MIT OR Apache-2.0
// A hash table with open addressing in a map's value: 48 keys put in, 96 looked up.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct entry {
	__u32 key, value;
};

struct entries {
	struct entry entry[128];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct entries);
} table SEC(".maps");

SEC("tc")
int probing(struct __sk_buff *skb)
{
	__u32 zero = 0, x = skb->len, sum = 0;
	struct entries *t = bpf_map_lookup_elem(&table, &zero);

	if (!t)
		return 0;
	for (int i = 0; i < 128; i++)
		t->entry[i].key = 0;
	for (int i = 0; i < 48; i++) {
		__u32 key = (i * 5 + 1) ^ (x & 1), at = key * 2654435761u >> 25;

		for (int j = 0; j < 16; j++) {
			struct entry *e = &t->entry[(at + j) & 127];

			if (e->key == 0 || e->key == key) {
				e->key = key;
				e->value += i;
				break;
			}
		}
	}
	for (int i = 0; i < 96; i++) {
		__u32 key = i * 3 + 1, at = key * 2654435761u >> 25;

		for (int j = 0; j < 16; j++) {
			struct entry *e = &t->entry[(at + j) & 127];

			if (e->key == key) {
				sum += j + 1;
				break;
			}
			if (e->key == 0)
				break;
		}
	}
	return sum;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
