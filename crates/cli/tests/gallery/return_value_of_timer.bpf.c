// SPDX-License-Identifier: MIT OR Apache-2.0
// A timer's callback returns 1
//
// Callbacks that run on their own have nothing to say.

#include "gallery.h"

struct alarm {
	struct bpf_timer timer;
	__u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct alarm);
} alarms SEC(".maps");

static int ring(void *map, __u32 *key, struct alarm *a)
{
	a->count++;
#ifdef FIX
	return 0;
#else
	return 1;
#endif
}

SEC("tc")
int return_value_of_timer(struct __sk_buff *skb)
{
	struct alarm *a = bpf_map_lookup_elem(&alarms, &zero);

	if (!a)
		return 0;
	bpf_timer_init(&a->timer, &alarms, 1);
	bpf_timer_set_callback(&a->timer, ring);
	bpf_timer_start(&a->timer, 1000, 0);
	return 0;
}
