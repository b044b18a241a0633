// SPDX-License-Identifier: MIT OR Apache-2.0
// A tracing program uses a map with a lock
//
// It may interrupt the one that holds the lock.

#include "gallery.h"

struct counter {
#ifndef FIX
	struct bpf_spin_lock lock;
#endif
	__u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct counter);
} counters SEC(".maps");

SEC("raw_tp/sys_enter")
int lock_in_tracing(void *ctx)
{
	struct counter *c = bpf_map_lookup_elem(&counters, &zero);

	if (!c)
		return 0;
#ifdef FIX
	__sync_fetch_and_add(&c->count, 1);
#else
	bpf_spin_lock(&c->lock);
	c->count++;
	bpf_spin_unlock(&c->lock);
#endif
	return 0;
}
