// SPDX-License-Identifier: MIT OR Apache-2.0
// Numbers of seven bits a byte (LEB128) decoded, signed by zigzag, from the packet's first 900
// bytes.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct cursor {
	__u32 at;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cursor);
} cursors SEC(".maps");

SEC("tc")
int varint(struct __sk_buff *skb)
{
	__u8 *data = (__u8 *)(long)skb->data;
	__u8 *end = (__u8 *)(long)skb->data_end;
	__u32 zero = 0;
	__u64 sum = 0;
	volatile struct cursor *cursor = bpf_map_lookup_elem(&cursors, &zero);

	if (!cursor)
		return 0;
	cursor->at = 0;

	for (int i = 0; i < 60; i++) {
		__u64 number = 0;
		__u32 at = cursor->at;

		if (at > 900)
			break;
		for (int n = 0; n < 5; n++) {
			__u8 *byte = data + (at & 0x3ff);

			if (byte + 1 > end)
				break;
			at++;
			number |= (__u64)(*byte & 0x7f) << (n * 7);
			if (!(*byte & 0x80))
				break;
		}
		cursor->at = at;
		sum += (number >> 1) ^ -(number & 1);
	}
	return (sum ^ sum >> 32) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
