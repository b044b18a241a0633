// SPDX-License-Identifier: MIT OR Apache-2.0
// Packet bytes by helpers: 32 headers of 20 bytes by `bpf_skb_load_bytes`.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int loadbytes(struct __sk_buff *skb)
{
	__u32 sum = 0;

	for (__u32 i = 0; i < 32; i++) {
		__u32 header[5];

		if (bpf_skb_load_bytes(skb, i * 24, header, sizeof(header)))
			break;
		sum += header[0] ^ header[1] ^ header[2] ^ header[3] ^ header[4];
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
