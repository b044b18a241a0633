// SPDX-License-Identifier: MIT OR Apache-2.0
// Checksums by helpers: `bpf_csum_diff` of headers of 20 and 40 bytes, 32 times.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int csums(struct __sk_buff *skb)
{
	__u32 header[10], sum = 0;

	for (int i = 0; i < 10; i++)
		header[i] = skb->len * (i + 3);
	for (__u32 i = 0; i < 32; i++) {
		header[i & 7] += i;
		sum = bpf_csum_diff(0, 0, header, 20, sum);
		sum += bpf_csum_diff(header, 4, header + 1, 40 - 4, 0);
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
