// SPDX-License-Identifier: MIT OR Apache-2.0
// Records for user space: 16 of 32 bytes, reserved, filled and submitted; user space reads between rounds.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event {
	__u64 number;
	__u32 length;
	__u32 kind;
	__u64 payload[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

SEC("tc")
int events(struct __sk_buff *skb)
{
	__u32 sent = 0;

	for (__u32 i = 0; i < 16; i++) {
		struct event *event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);

		if (!event)
			break;
		event->number = i;
		event->length = skb->len;
		event->kind = i & 3;
		event->payload[0] = i * 0x9e3779b97f4a7c15ull;
		event->payload[1] = ~i;
		bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
		sent++;
	}
	return sent;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
