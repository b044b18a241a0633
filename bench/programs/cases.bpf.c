// SPDX-License-Identifier: MIT OR Apache-2.0
// Branches: a machine with eight operations, steered by a generator of numbers.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int cases(struct __sk_buff *skb)
{
	__u32 x = skb->len, acc = 1;

	for (int i = 0; i < 256; i++) {
		x = x * 1103515245 + 12345;
		switch (x >> 16 & 7) {
		case 0: acc += x; break;
		case 1: acc ^= x >> 3; break;
		case 2: acc *= 31; break;
		case 3: acc -= i; break;
		case 4: acc = acc << 3 | acc >> 29; break;
		case 5: acc |= 0x11; break;
		case 6: acc &= ~(x & 0xf0); break;
		default: acc = ~acc; break;
		}
	}
	return acc & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
