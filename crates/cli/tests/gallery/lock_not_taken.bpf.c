// SPDX-License-Identifier: MIT OR Apache-2.0
// A lock is given back on a path that did not take it
//
// Each path is looked at by itself.

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
int lock_not_taken(struct __sk_buff *skb)
{
	struct counter *c = bpf_map_lookup_elem(&counters, &zero);

	if (!c)
		return 0;
#ifndef FIX
	if (skb->mark)
#endif
		bpf_spin_lock(&c->lock);
	c->count++;
	bpf_spin_unlock(&c->lock);
	return 0;
}
