// SPDX-License-Identifier: MIT OR Apache-2.0
// Bytes to text in memory: the packet's first 128 bytes to 256 hexadecimal digits, and back to a sum.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define BYTES 128

struct text {
	__u8 digit[2 * BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct text);
} texts SEC(".maps");

static __always_inline __u8 digit(__u32 nibble)
{
	return nibble < 10 ? '0' + nibble : 'a' + nibble - 10;
}

SEC("tc")
int hex(struct __sk_buff *skb)
{
	__u8 *data = (__u8 *)(long)skb->data;
	__u8 *end = (__u8 *)(long)skb->data_end;
	__u32 zero = 0, sum = 0;
	struct text *text = bpf_map_lookup_elem(&texts, &zero);

	if (!text || data + BYTES > end)
		return 0;
	for (int i = 0; i < BYTES; i++) {
		text->digit[2 * i] = digit(data[i] >> 4);
		text->digit[2 * i + 1] = digit(data[i] & 15);
	}
	for (int i = 0; i < 2 * BYTES; i++)
		sum = sum * 17 + text->digit[i];
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
