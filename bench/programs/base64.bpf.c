// SPDX-License-Identifier: MIT OR Apache-2.0
// A table and three bytes to four: the packet's first 384 bytes to base64, and a sum over the text.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static const char digits[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

SEC("tc")
int base64(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u32 sum = 0;

	for (int i = 0; i < 128; i++) {
		__u8 *in = data + 3 * i;
		__u32 bits;

		if ((void *)(in + 3) > end)
			break;
		bits = (__u32)in[0] << 16 | (__u32)in[1] << 8 | in[2];
		sum = sum * 31 + digits[bits >> 18];
		sum = sum * 31 + digits[bits >> 12 & 63];
		sum = sum * 31 + digits[bits >> 6 & 63];
		sum = sum * 31 + digits[bits & 63];
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
