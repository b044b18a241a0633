// SPDX-License-Identifier: MIT OR Apache-2.0
// Packets rewritten in place: addresses and ports swapped, checksums mended, for 16 frames, and
// back.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __always_inline __u16 mend(__u16 sum, __u32 from, __u32 to)
{
	__u64 all = (__u16)~sum;

	all += (__u16)~from + (__u16)~(from >> 16) + (to & 0xffff) + (to >> 16);
	all = (all & 0xffff) + (all >> 16);
	all = (all & 0xffff) + (all >> 16);
	return ~all;
}

static __always_inline __u32 swap(__u8 *at)
{
	__u32 from = *(__u32 *)(at + 26), to = *(__u32 *)(at + 30);
	__u16 port = *(__u16 *)(at + 34);

	*(__u32 *)(at + 26) = to;
	*(__u32 *)(at + 30) = from;
	*(__u16 *)(at + 34) = *(__u16 *)(at + 36);
	*(__u16 *)(at + 36) = port;
	*(__u16 *)(at + 24) = mend(mend(*(__u16 *)(at + 24), from, to), to, from);
	at[22]--;
	at[22]++;
	for (int i = 0; i < 6; i++) {
		__u8 mac = at[i];

		at[i] = at[i + 6];
		at[i + 6] = mac;
	}
	return *(__u16 *)(at + 24);
}

SEC("tc")
int nat(struct __sk_buff *skb)
{
	__u8 *data = (__u8 *)(long)skb->data;
	__u8 *end = (__u8 *)(long)skb->data_end;
	__u32 sum = 0;

	for (int i = 0; i < 16; i++) {
		__u8 *at = data + i * 60;

		if (at + 60 > end)
			break;
		swap(at);
		sum += *(__u32 *)(at + 30) ^ at[3];
		swap(at);
		sum += at[7];
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
