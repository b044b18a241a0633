// SPDX-License-Identifier: MIT OR Apache-2.0
// Packets rewritten by helpers: addresses and ports of 16 frames by `bpf_skb_store_bytes`, their checksums by
// `bpf_l3_csum_replace` and `bpf_l4_csum_replace`.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define FRAME 60
#define CHECK 24
#define SOURCE 26
#define PORT 34
#define TCP_CHECK 50

SEC("tc")
int rewrite(struct __sk_buff *skb)
{
	__u32 sum = 0;

	for (__u64 i = 0; i < 16; i++) {
		__u64 frame = i;
		__u32 at, old = 0, new;
		__u16 port, check = 0;

		// One counter is enough for the verifier, and the compiler's others are not numbers to it.
		asm volatile("" : "+r"(frame));
		at = frame * FRAME;
		new = 0x0100000a + (frame << 24);
		port = 0x5000 + frame;
		bpf_skb_load_bytes(skb, at + SOURCE, &old, 4);
		bpf_l4_csum_replace(skb, at + TCP_CHECK, old, new, BPF_F_PSEUDO_HDR | 4);
		bpf_l3_csum_replace(skb, at + CHECK, old, new, 4);
		bpf_skb_store_bytes(skb, at + SOURCE, &new, 4, 0);
		bpf_skb_store_bytes(skb, at + PORT, &port, 2, BPF_F_RECOMPUTE_CSUM);
		bpf_skb_load_bytes(skb, at + CHECK, &check, 2);
		// And back: every run finds what the one before found.
		bpf_l3_csum_replace(skb, at + CHECK, new, old, 4);
		bpf_l4_csum_replace(skb, at + TCP_CHECK, new, old, BPF_F_PSEUDO_HDR | 4);
		bpf_skb_store_bytes(skb, at + SOURCE, &old, 4, BPF_F_INVALIDATE_HASH);
		sum += check ^ port;
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
