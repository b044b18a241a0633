// SPDX-License-Identifier: MIT OR Apache-2.0
// Open-coded iterators: two nested loops of numbers over a map's value.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct table {
	__u32 v[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct table);
} tables SEC(".maps");

struct bpf_iter_num {
	__u64 opaque;
};

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __weak __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __weak __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __weak __ksym;

SEC("tc")
int iterator(struct __sk_buff *skb)
{
	__u32 zero = 0, sum = 0;
	struct table *t = bpf_map_lookup_elem(&tables, &zero);
	struct bpf_iter_num outer, inner;
	int *i, *j;

	if (!t)
		return 0;
	bpf_iter_num_new(&outer, 0, 8);
	while ((i = bpf_iter_num_next(&outer))) {
		bpf_iter_num_new(&inner, 0, 16);
		while ((j = bpf_iter_num_next(&inner))) {
			__u32 at = (*i * 8 + *j) & 63;

			t->v[at] = t->v[at] * 3 + *j;
			sum += *j ^ *i;
		}
		bpf_iter_num_destroy(&inner);
	}
	bpf_iter_num_destroy(&outer);
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
