// SPDX-License-Identifier: MIT OR Apache-2.0
// Two locks are taken
//
// One lock at a time: so two programs cannot wait for each other.

#include "gallery.h"

struct counter {
	struct bpf_spin_lock lock;
	__u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct counter);
} counters SEC(".maps");

SEC("tc")
int lock_two(struct __sk_buff *skb)
{
	__u32 one = 1;
	struct counter *a = bpf_map_lookup_elem(&counters, &zero);
	struct counter *b = bpf_map_lookup_elem(&counters, &one);
	__u64 count;

	if (!a || !b)
		return 0;
	bpf_spin_lock(&a->lock);
	count = a->count;
#ifdef FIX
	bpf_spin_unlock(&a->lock);
	bpf_spin_lock(&b->lock);
	b->count += count;
	bpf_spin_unlock(&b->lock);
#else
	bpf_spin_lock(&b->lock);
	b->count += count;
	bpf_spin_unlock(&b->lock);
	bpf_spin_unlock(&a->lock);
#endif
	return 0;
}
