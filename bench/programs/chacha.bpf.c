// SPDX-License-Identifier: MIT OR Apache-2.0
// ChaCha20: a block of key stream, its sixteen words on the stack.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ROTATE(x, by) ((x) << (by) | (x) >> (32 - (by)))
#define QUARTER(a, b, c, d)                                                                        \
	do {                                                                                       \
		s[a] += s[b];                                                                      \
		s[d] = ROTATE(s[d] ^ s[a], 16);                                                    \
		s[c] += s[d];                                                                      \
		s[b] = ROTATE(s[b] ^ s[c], 12);                                                    \
		s[a] += s[b];                                                                      \
		s[d] = ROTATE(s[d] ^ s[a], 8);                                                     \
		s[c] += s[d];                                                                      \
		s[b] = ROTATE(s[b] ^ s[c], 7);                                                     \
	} while (0)

SEC("tc")
int chacha(struct __sk_buff *skb)
{
	__u32 s[16], first[16], sum = 0;

	for (int i = 0; i < 16; i++)
		first[i] = s[i] = skb->len * (i + 1) * 2654435761u;
	for (int i = 0; i < 10; i++) {
		QUARTER(0, 4, 8, 12);
		QUARTER(1, 5, 9, 13);
		QUARTER(2, 6, 10, 14);
		QUARTER(3, 7, 11, 15);
		QUARTER(0, 5, 10, 15);
		QUARTER(1, 6, 11, 12);
		QUARTER(2, 7, 8, 13);
		QUARTER(3, 4, 9, 14);
	}
	for (int i = 0; i < 16; i++)
		sum ^= s[i] + first[i];
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
