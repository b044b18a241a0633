// SPDX-License-Identifier: MIT OR Apache-2.0
// Patterns: `*` and `?` matched against words of the packet, with a way back to the last star.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static const char pattern[16] = "*e?t*t*p*";

SEC("tc")
int glob(struct __sk_buff *skb)
{
	__u8 *data = (__u8 *)(long)skb->data;
	__u8 *end = (__u8 *)(long)skb->data_end;
	__u32 sum = 0;

	for (int word = 0; word < 6; word++) {
		volatile __u32 at = 0, p = 0, star = 16, mark = 0;
		volatile __u32 matched = 0;

		for (int i = 0; i < 64; i++) {
			__u8 *byte = data + word * 24 + (at & 31);
			__u8 c, want;

			if (byte + 1 > end)
				break;
			if (at >= 24) {
				matched = pattern[p & 15] == 0 || pattern[p & 15] == '*';
				break;
			}
			c = *byte;
			want = pattern[p & 15];
			if (want == '*') {
				star = p;
				mark = at;
				p = p + 1;
			} else if (want == '?' || want == c) {
				p = p + 1;
				at = at + 1;
			} else if (star < 16) {
				p = star + 1;
				mark = mark + 1;
				at = mark;
			} else {
				break;
			}
		}
		sum = sum << 1 | matched;
		sum += at;
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
