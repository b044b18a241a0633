// SPDX-License-Identifier: MIT OR Apache-2.0
// Queue and stack maps: 32 numbers through both.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 64);
	__type(value, __u64);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 64);
	__type(value, __u64);
} pile SEC(".maps");

SEC("tc")
int queues(struct __sk_buff *skb)
{
	__u64 sum = 0;

	for (__u64 i = 0; i < 32; i++) {
		__u64 value = i * 3 + skb->len;

		bpf_map_push_elem(&queue, &value, 0);
		if (!bpf_map_pop_elem(&queue, &value))
			bpf_map_push_elem(&pile, &value, 0);
		if (!bpf_map_pop_elem(&pile, &value))
			sum = sum * 3 + value;
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
