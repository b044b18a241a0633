// SPDX-License-Identifier: MIT OR Apache-2.0
// Spin locks: 32 sums kept together under the lock of a map's value.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sums {
	struct bpf_spin_lock lock;
	__u32 count;
	__u64 sum, most;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sums);
} totals SEC(".maps");

SEC("tc")
int locked(struct __sk_buff *skb)
{
	__u32 zero = 0, done = 0;
	struct sums *s = bpf_map_lookup_elem(&totals, &zero);

	if (!s)
		return 0;
	for (__u32 i = 0; i < 32; i++) {
		bpf_spin_lock(&s->lock);
		s->count++;
		s->sum += i;
		if (i > s->most)
			s->most = i;
		done += s->count != 0;
		bpf_spin_unlock(&s->lock);
	}
	return done;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
