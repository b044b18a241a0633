// SPDX-License-Identifier: MIT OR Apache-2.0
// A machine of its own: programs of bytes with twelve operations, run by a switch.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct machine {
	__u32 r[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct machine);
} machines SEC(".maps");

SEC("tc")
int bytecode(struct __sk_buff *skb)
{
	__u8 *data = (__u8 *)(long)skb->data;
	__u8 *end = (__u8 *)(long)skb->data_end;
	__u32 zero = 0, sum = 0;
	struct machine *m = bpf_map_lookup_elem(&machines, &zero);

	if (!m)
		return 0;
	for (int i = 0; i < 8; i++)
		m->r[i] = skb->len + i * 77;
	for (int i = 0; i < 200; i++) {
		__u8 *at = data + i * 3;
		__u32 *to, a, b;

		if (at + 3 > end)
			break;
		to = &m->r[at[1] & 7];
		a = *to;
		b = m->r[at[2] & 7];
		switch (at[0] % 12) {
		case 0: a += b; break;
		case 1: a -= b; break;
		case 2: a *= b | 1; break;
		case 3: a ^= b; break;
		case 4: a = a << 3 | b >> 29; break;
		case 5: a |= b & 0xff00ff; break;
		case 6: a = a > b ? a - b : b - a; break;
		case 7: a = ~b; break;
		case 8: a = __builtin_bswap32(b); break;
		case 9: a += at[2]; break;
		case 10: a >>= b & 7; break;
		default: a = b / 3 + 1; break;
		}
		*to = a;
	}
	for (int i = 0; i < 8; i++)
		sum ^= m->r[i] * (i + 1);
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
