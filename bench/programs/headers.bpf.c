// SPDX-License-Identifier: MIT OR Apache-2.0
// Headers: Ethernet with VLAN tags, IPv4 or IPv6, TCP or UDP, of 16 frames that lie one after another
// in the packet, 60 bytes each.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define FRAMES 16
#define FRAME 60

struct vlan {
	__be16 tci;
	__be16 proto;
};

static __always_inline __u32 ports(void *at, void *end, __u8 proto)
{
	if (proto == IPPROTO_TCP) {
		struct tcphdr *tcp = at;

		if ((void *)(tcp + 1) > end)
			return 1;
		return bpf_ntohs(tcp->source) ^ bpf_ntohs(tcp->dest) ^ tcp->doff << 16 ^
		       (tcp->syn && !tcp->ack) << 20 ^ bpf_ntohl(tcp->seq) >> 3;
	}
	if (proto == IPPROTO_UDP) {
		struct udphdr *udp = at;

		if ((void *)(udp + 1) > end)
			return 2;
		return bpf_ntohs(udp->source) + bpf_ntohs(udp->dest) + bpf_ntohs(udp->len);
	}
	return 3;
}

static __always_inline __u32 frame(void *at, void *end)
{
	struct ethhdr *eth = at;
	__be16 proto;

	if ((void *)(eth + 1) > end)
		return 4;
	proto = eth->h_proto;
	at = eth + 1;
	for (int i = 0; i < 2; i++) {
		struct vlan *tag = at;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > end)
			return 5;
		proto = tag->proto;
		at = tag + 1;
	}
	if (proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = at;

		if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
			return 6;
		if (ip->frag_off & bpf_htons(0x1fff))
			return 7;
		return bpf_ntohl(ip->saddr) ^ ip->daddr ^ ip->ttl ^
		       ports(at + ip->ihl * 4, end, ip->protocol);
	}
	if (proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = at;

		if ((void *)(ip + 1) > end)
			return 8;
		return ip->saddr.s6_addr32[3] ^ ip->daddr.s6_addr32[0] ^ ip->hop_limit ^
		       ports(ip + 1, end, ip->nexthdr);
	}
	return 9;
}

SEC("tc")
int headers(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	volatile __u32 sum = 0;

	for (int i = 0; i < FRAMES; i++)
		sum = sum * 31 + frame(data + FRAME * i, end);
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
