// SPDX-License-Identifier: MIT OR Apache-2.0
// Bit fields: packed headers taken apart and put together again, 64 times.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct header {
	__u32 version : 4, length : 4, service : 6, congestion : 2, total : 16;
	__u16 id;
	__u16 offset : 13, flags : 3;
	__s32 delta : 11, kind : 5, rest : 16;
};

struct headers {
	struct header header[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct headers);
} table SEC(".maps");

SEC("tc")
int fields(struct __sk_buff *skb)
{
	__u32 zero = 0, x = skb->len, sum = 0;
	struct headers *t = bpf_map_lookup_elem(&table, &zero);

	if (!t)
		return 0;
	for (int i = 0; i < 16; i++) {
		struct header *h = &t->header[i];

		x = x * 1664525 + 1013904223;
		h->version = x;
		h->length = x >> 4;
		h->service = x >> 8;
		h->congestion = x >> 14;
		h->total = x >> 16;
		h->id = x >> 3;
		h->offset = x >> 5;
		h->flags = x >> 20;
		h->delta = x >> 9;
		h->kind = x >> 11;
		h->rest = x >> 1;
	}
	for (int i = 0; i < 64; i++) {
		struct header *h = &t->header[i & 15];

		sum += h->version + h->length * 4 + h->service;
		sum ^= h->total - h->offset;
		h->total -= h->length;
		h->delta += h->kind;
		h->flags = h->congestion;
		sum += h->delta * h->rest;
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
