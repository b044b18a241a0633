// SPDX-License-Identifier: MIT OR Apache-2.0
// Memory: records of 64 bytes copied, compared, cleared and moved, on the stack and in a map's
// value.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct record {
	__u64 id;
	__u32 kind, flags;
	char name[32];
	__u16 ports[8];
};

struct records {
	struct record record[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct records);
} table SEC(".maps");

SEC("tc")
int memory(struct __sk_buff *skb)
{
	__u32 zero = 0, x = skb->len, same = 0;
	struct records *t = bpf_map_lookup_elem(&table, &zero);

	if (!t)
		return 0;
	__builtin_memset(t, 0, sizeof(*t));
	for (int i = 0; i < 64; i++) {
		struct record now, *slot;

		x = x * 1664525 + 1013904223;
		slot = &t->record[x >> 28];
		__builtin_memset(&now, 0, sizeof(now));
		now.id = x >> 30;
		now.kind = i & 1;
		now.name[x >> 27 & 31] = 'a' + (x >> 24 & 1);
		now.ports[i & 3] = x >> 31;
		if (__builtin_memcmp(&now, slot, sizeof(now)) == 0)
			same++;
		else
			__builtin_memcpy(slot, &now, sizeof(now));
		if (!(i & 15))
			__builtin_memset(&t->record[i & 15], 0, sizeof(now));
		same += slot->flags + slot->ports[1];
	}
	return same & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
