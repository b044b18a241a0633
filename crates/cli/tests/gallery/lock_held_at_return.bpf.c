// SPDX-License-Identifier: MIT OR Apache-2.0
// The program ends while it holds a lock
//
// Every path out of a locked section must unlock.

#include "gallery.h"

struct guarded {
	struct bpf_spin_lock lock;
	__u32 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct guarded);
} guardeds SEC(".maps");

SEC("tc")
int lock_held_at_return(struct __sk_buff *ctx)
{
	struct guarded *g = bpf_map_lookup_elem(&guardeds, &zero);

	if (!g)
		return 0;
	bpf_spin_lock(&g->lock);
	if (g->count > 100) {
#ifdef FIX
		bpf_spin_unlock(&g->lock);
#endif
		return 2;
	}
	g->count++;
	bpf_spin_unlock(&g->lock);
	return 0;
}
