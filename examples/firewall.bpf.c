// SPDX-License-Identifier: MIT OR Apache-2.0
//
// A firewall and load balancer in one XDP program, for IPv4 and IPv6, TCP and UDP:
//
//   1. a source on the block list (longest prefix) is dropped;
//   2. a source that sends faster than its share is dropped (token bucket);
//   3. a packet for a service's address goes to one of its back ends (destination NAT), always the
//      same one for the same connection, with checksums mended; replies of the back end get the
//      service's address back (source NAT);
//   4. everything else passes.
//
// Try it on a capture, as an ordinary user:
//
//   panal run examples/firewall.bpf.o --pcap in.pcap --out out.pcap \
//       --map blocklist4=203.0.113.0/24:0 \
//       --map 'limits=0:{rate=100,burst=20}' \
//       --map 'services={addr=192.0.2.1,port=80,proto=6}:{first=0,count=2}' \
//       --map 'backends=0:{addr=10.0.0.1,port=8080}' --map 'backends=1:{addr=10.0.0.2,port=8080}'
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define IP_OFFSET_OR_MORE_FRAGMENTS 0x3fff
#define NSEC_PER_SEC 1000000000ULL
// Nobody gets more than this by waiting, so that tokens * NSEC_PER_SEC cannot overflow.
#define MAX_BURST 1000000000ULL

// Both families in one: an IPv4 address is the last four bytes behind ::ffff:0:0 (RFC 4291).
struct address {
	__be32 word[4];
};

struct prefix4 {
	__u32 prefixlen;
	__u8 addr[4];
};

struct prefix6 {
	__u32 prefixlen;
	__u8 addr[16];
};

struct service {
	struct address addr;
	__be16 port;
	__u8 proto;
	__u8 pad;
};

// A service's back ends are `count` entries of `backends` from `first` on.
struct pool {
	__u32 first;
	__u32 count;
};

struct backend {
	struct address addr;
	__be16 port;
	__u16 pad;
};

struct flow {
	struct address src;
	struct address dst;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 pad[3];
};

// What a reply is rewritten to: the service that the client spoke to.
struct front {
	struct address addr;
	__be16 port;
	__u16 pad;
};

struct rate_limit {
	__u64 rate;  // packets a second and source; 0: no limit
	__u64 burst; // packets that a source may save up
};

struct source_bucket {
	__u64 tokens; // in billionths of a packet
	__u64 last;   // ns
};

enum outcome {
	PASSED,
	BLOCKED,
	LIMITED,
	FORWARDED,
	RETURNED,
	MALFORMED,
	OUTCOMES,
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct prefix4);
	__type(value, __u64); // packets dropped
} blocklist4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct prefix6);
	__type(value, __u64);
} blocklist6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rate_limit);
} limits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct address);
	__type(value, struct source_bucket);
} buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct service);
	__type(value, struct pool);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct backend);
} backends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow);
	__type(value, struct front);
} replies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OUTCOMES);
	__type(key, __u32);
	__type(value, __u64);
} outcomes SEC(".maps");

// Where the parts of a packet are. A pointer is null where there is no such part.
struct packet {
	void *end;
	struct iphdr *ip4;
	struct ipv6hdr *ip6;
	__sum16 *check; // of TCP or UDP
	__be16 *ports;  // source, destination
	struct flow flow;
};

static __always_inline int count(enum outcome outcome, int action)
{
	__u32 key = outcome;
	__u64 *packets = bpf_map_lookup_elem(&outcomes, &key);

	if (packets)
		*packets += 1;
	return action;
}

static __always_inline void from_v4(struct address *to, __be32 from)
{
	to->word[0] = 0;
	to->word[1] = 0;
	to->word[2] = bpf_htonl(0xffff);
	to->word[3] = from;
}

static __always_inline void from_v6(struct address *to, const struct in6_addr *from)
{
	__builtin_memcpy(to, from, sizeof(*to));
}

static __always_inline bool blocked4(struct packet *p)
{
	struct prefix4 key = { .prefixlen = 32 };
	__u64 *dropped;

	__builtin_memcpy(key.addr, &p->ip4->saddr, sizeof(key.addr));
	dropped = bpf_map_lookup_elem(&blocklist4, &key);
	if (dropped)
		__sync_fetch_and_add(dropped, 1);
	return dropped;
}

static __always_inline bool blocked6(struct packet *p)
{
	struct prefix6 key = { .prefixlen = 128 };
	__u64 *dropped;

	__builtin_memcpy(key.addr, &p->ip6->saddr, sizeof(key.addr));
	dropped = bpf_map_lookup_elem(&blocklist6, &key);
	if (dropped)
		__sync_fetch_and_add(dropped, 1);
	return dropped;
}

// A token bucket for each source, filled at `rate`, holding `burst`.
static __always_inline bool over_limit(const struct address *source)
{
	__u64 now = bpf_ktime_get_ns(), full, gained;
	struct source_bucket fresh = {}, *bucket;
	struct rate_limit *limit;
	__u32 zero = 0;

	limit = bpf_map_lookup_elem(&limits, &zero);
	if (!limit || !limit->rate)
		return false;
	full = limit->burst;
	if (full < 1)
		full = 1;
	if (full > MAX_BURST)
		full = MAX_BURST;
	full *= NSEC_PER_SEC;

	bucket = bpf_map_lookup_elem(&buckets, source);
	if (!bucket) {
		fresh.tokens = full - NSEC_PER_SEC;
		fresh.last = now;
		bpf_map_update_elem(&buckets, source, &fresh, BPF_ANY);
		return false;
	}
	// A bucket is full long before the product could overflow.
	gained = now - bucket->last;
	if (gained > full / limit->rate)
		gained = full;
	else
		gained *= limit->rate;
	bucket->last = now;
	bucket->tokens += gained;
	if (bucket->tokens > full)
		bucket->tokens = full;
	if (bucket->tokens < NSEC_PER_SEC)
		return true;
	bucket->tokens -= NSEC_PER_SEC;
	return false;
}

static __always_inline __sum16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

// RFC 1624: the checksum after `from` became `to`.
static __always_inline __sum16 mend(__sum16 check, __be32 *from, __be32 *to, __u32 size)
{
	return fold(bpf_csum_diff(from, size, to, size, (__u16)~check));
}

// TCP or UDP checksum after an address and a port changed. A UDP checksum of 0 means none over
// IPv4, and is never the result of a sum.
static __always_inline void mend_transport(struct packet *p, __be32 *from, __be32 *to, __u32 size,
					   __be16 old_port, __be16 new_port)
{
	__be32 old = old_port, new = new_port;
	__sum16 check = *p->check;

	if (p->flow.proto == IPPROTO_UDP && !check)
		return;
	check = mend(check, from, to, size);
	check = mend(check, &old, &new, sizeof(old));
	if (p->flow.proto == IPPROTO_UDP && !check)
		check = 0xffff;
	*p->check = check;
}

// Replaces an address and a port of the packet. `source` says which.
static __always_inline void rewrite(struct packet *p, bool source, const struct address *addr,
				    __be16 port)
{
	__be16 *place = source ? &p->ports[0] : &p->ports[1];
	__be16 old_port = *place;

	if (p->ip4) {
		__be32 *field = source ? &p->ip4->saddr : &p->ip4->daddr;
		__be32 old = *field, new = addr->word[3];

		mend_transport(p, &old, &new, sizeof(old), old_port, port);
		p->ip4->check = mend(p->ip4->check, &old, &new, sizeof(old));
		*field = new;
	} else if (p->ip6) {
		struct in6_addr *field = source ? &p->ip6->saddr : &p->ip6->daddr;
		struct address old, new = *addr;

		from_v6(&old, field);
		mend_transport(p, old.word, new.word, sizeof(old), old_port, port);
		__builtin_memcpy(field, &new, sizeof(new));
	}
	*place = port;
}

// A number that is the same for all packets of a connection.
static __always_inline __u32 hash(const struct flow *flow)
{
	__u32 h = 0x811c9dc5;

	for (int i = 0; i < 4; i++)
		h = (h ^ flow->src.word[i]) * 0x01000193;
	h = (h ^ flow->sport) * 0x01000193;
	h = (h ^ flow->dport) * 0x01000193;
	return h ^ h >> 15;
}

static __always_inline bool to_backend(struct packet *p)
{
	struct service key = { .port = p->flow.dport, .proto = p->flow.proto };
	struct front front = {};
	struct flow reply = {};
	struct backend *backend;
	struct pool *pool;
	__u32 index;

	key.addr = p->flow.dst;
	pool = bpf_map_lookup_elem(&services, &key);
	if (!pool || !pool->count)
		return false;
	index = pool->first + hash(&p->flow) % pool->count;
	backend = bpf_map_lookup_elem(&backends, &index);
	if (!backend || !backend->port)
		return false;

	reply.src = backend->addr;
	reply.dst = p->flow.src;
	reply.sport = backend->port;
	reply.dport = p->flow.sport;
	reply.proto = p->flow.proto;
	front.addr = p->flow.dst;
	front.port = p->flow.dport;
	bpf_map_update_elem(&replies, &reply, &front, BPF_ANY);
	rewrite(p, false, &backend->addr, backend->port);
	return true;
}

static __always_inline bool from_backend(struct packet *p)
{
	struct front *front = bpf_map_lookup_elem(&replies, &p->flow);

	if (!front)
		return false;
	rewrite(p, true, &front->addr, front->port);
	return true;
}

// Finds ports and checksum behind the IP header. False when there are none, or cut off.
static __always_inline bool parse_transport(struct packet *p, void *header)
{
	if (p->flow.proto == IPPROTO_TCP) {
		struct tcphdr *tcp = header;

		if ((void *)(tcp + 1) > p->end)
			return false;
		p->check = &tcp->check;
	} else if (p->flow.proto == IPPROTO_UDP) {
		struct udphdr *udp = header;

		if ((void *)(udp + 1) > p->end)
			return false;
		p->check = &udp->check;
	} else {
		return false;
	}
	p->ports = header;
	p->flow.sport = p->ports[0];
	p->flow.dport = p->ports[1];
	return true;
}

static __always_inline int balance(struct packet *p)
{
	if (to_backend(p))
		return count(FORWARDED, XDP_TX);
	if (from_backend(p))
		return count(RETURNED, XDP_TX);
	return count(PASSED, XDP_PASS);
}

static __always_inline int ipv4(struct packet *p, void *header)
{
	struct iphdr *ip = header;

	if ((void *)(ip + 1) > p->end || ip->ihl < 5)
		return count(MALFORMED, XDP_DROP);
	p->ip4 = ip;
	from_v4(&p->flow.src, ip->saddr);
	from_v4(&p->flow.dst, ip->daddr);
	p->flow.proto = ip->protocol;
	if (blocked4(p))
		return count(BLOCKED, XDP_DROP);
	if (over_limit(&p->flow.src))
		return count(LIMITED, XDP_DROP);
	// Later fragments have no ports; options move them.
	if (ip->frag_off & bpf_htons(IP_OFFSET_OR_MORE_FRAGMENTS) || ip->ihl != 5)
		return count(PASSED, XDP_PASS);
	if (!parse_transport(p, ip + 1))
		return count(PASSED, XDP_PASS);
	return balance(p);
}

static __always_inline int ipv6(struct packet *p, void *header)
{
	struct ipv6hdr *ip = header;

	if ((void *)(ip + 1) > p->end)
		return count(MALFORMED, XDP_DROP);
	p->ip6 = ip;
	from_v6(&p->flow.src, &ip->saddr);
	from_v6(&p->flow.dst, &ip->daddr);
	p->flow.proto = ip->nexthdr;
	if (blocked6(p))
		return count(BLOCKED, XDP_DROP);
	if (over_limit(&p->flow.src))
		return count(LIMITED, XDP_DROP);
	// Extension headers (fragments among them) are not followed: such packets pass.
	if (!parse_transport(p, ip + 1))
		return count(PASSED, XDP_PASS);
	return balance(p);
}

SEC("xdp")
int firewall(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct packet p = { .end = (void *)(long)ctx->data_end };
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > p.end)
		return count(MALFORMED, XDP_DROP);
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return ipv4(&p, eth + 1);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return ipv6(&p, eth + 1);
	return count(PASSED, XDP_PASS);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
