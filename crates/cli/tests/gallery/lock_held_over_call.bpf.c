// SPDX-License-Identifier: MIT OR Apache-2.0
// A helper is called while a lock is held
//
// Under a lock only few functions may be called.

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
int lock_held_over_call(struct __sk_buff *ctx)
{
	struct guarded *g = bpf_map_lookup_elem(&guardeds, &zero);
	__u32 number;

	if (!g)
		return 0;
#ifdef FIX
	number = bpf_get_prandom_u32();
	bpf_spin_lock(&g->lock);
#else
	bpf_spin_lock(&g->lock);
	number = bpf_get_prandom_u32();
#endif
	g->count += number;
	bpf_spin_unlock(&g->lock);
	return 0;
}
