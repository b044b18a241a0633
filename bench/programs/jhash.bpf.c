// SPDX-License-Identifier: MIT OR Apache-2.0
// 32-bit adds, subtractions and rotations: Bob Jenkins' lookup3 over the packet's first 480 bytes.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ROTATE(x, n) (((x) << (n)) | ((x) >> (32 - (n))))

SEC("tc")
int jhash(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u32 a = 0xdeadbeef + skb->len, b = a, c = a;

	for (int i = 0; i < 40; i++) {
		__u32 *word = data + 12 * i;

		if ((void *)(word + 3) > end)
			break;
		a += word[0];
		b += word[1];
		c += word[2];
		a -= c; a ^= ROTATE(c, 4);  c += b;
		b -= a; b ^= ROTATE(a, 6);  a += c;
		c -= b; c ^= ROTATE(b, 8);  b += a;
		a -= c; a ^= ROTATE(c, 16); c += b;
		b -= a; b ^= ROTATE(a, 19); a += c;
		c -= b; c ^= ROTATE(b, 4);  b += a;
	}
	c ^= b; c -= ROTATE(b, 14);
	a ^= c; a -= ROTATE(c, 11);
	b ^= a; b -= ROTATE(a, 25);
	c ^= b; c -= ROTATE(b, 16);
	return c & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
