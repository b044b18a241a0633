// SPDX-License-Identifier: MIT OR Apache-2.0
// The loads that classic BPF left behind: Ethernet, IPv4 and TCP of 16 frames, as a socket filter reads them.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

unsigned long long load_byte(void *skb, unsigned long long at) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long at) asm("llvm.bpf.load.half");
unsigned long long load_word(void *skb, unsigned long long at) asm("llvm.bpf.load.word");

#define FRAME 60
#define ETH_P_IP 0x0800

SEC("tc")
int legacy(struct __sk_buff *skb)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < 16; i++) {
		__u32 at = i * FRAME, transport;

		if (load_half(skb, at + 12) != ETH_P_IP) {
			sum++;
			continue;
		}
		transport = at + 14 + ((load_byte(skb, at + 14) & 15) << 2);
		sum += load_byte(skb, at + 23);
		sum += load_word(skb, at + 26) ^ load_word(skb, at + 30);
		sum += load_half(skb, transport) + load_half(skb, transport + 2);
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
