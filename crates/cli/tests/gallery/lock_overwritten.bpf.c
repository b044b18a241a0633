// SPDX-License-Identifier: MIT OR Apache-2.0
// A value is cleared together with its lock
//
// Locks, timers and the like are their helpers' alone.

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
int lock_overwritten(struct __sk_buff *skb)
{
	struct counter *c = bpf_map_lookup_elem(&counters, &zero);

	if (!c)
		return 0;
#ifdef FIX
	c->count = 0;
#else
	__builtin_memset(c, 0, sizeof(*c));
#endif
	return 0;
}
