// SPDX-License-Identifier: MIT OR Apache-2.0
// Everything that `panal run` prints: samples, records of two kinds, lines, a map that asks for it.
//
//   clang-22 -O2 -g -target bpf -mcpu=v3 -idirafter /usr/include/$(uname -m)-linux-gnu \
//       -fdebug-compilation-dir=. -c crates/cli/tests/objects/events.bpf.c \
//       -o crates/cli/tests/objects/events.bpf.o
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

enum way {
	WAY_IN = 1,
	WAY_OUT = 2,
};

// The type that the map declares.
struct sample {
	__u8 mac[6];
	__be16 proto;
	enum way way;
	__s32 number;
};

// Called as the map, without its s.
struct address {
	__be32 v4;
	__be16 port;
	char name[10];
	__u8 v6[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct sample);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} bytes SEC(".maps");

struct count {
	__u64 packets;
	__u64 octets;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct count);
} counts SEC(".maps") __attribute__((btf_decl_tag("print")));

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct count);
} silent SEC(".maps");

const struct address *unused_address __attribute__((unused));

SEC("xdp")
int tell(struct xdp_md *ctx)
{
	struct sample sample = { .mac = { 2, 0, 0, 0, 0, 0xfe }, .way = WAY_OUT, .number = -5 };
	struct address address = { .name = "\x1b[2Jname", .v6 = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };
	struct count count = { .packets = 1, .octets = 60 };
	__u32 key = 9;

	sample.proto = bpf_htons(2048);
	address.v4 = bpf_htonl(0x0a000001);
	address.port = bpf_htons(8080);
	bpf_ringbuf_output(&samples, &sample, sizeof(sample), 0);
	bpf_perf_event_output(ctx, &addresses, BPF_F_CURRENT_CPU, &address, sizeof(address));
	bpf_ringbuf_output(&bytes, &key, sizeof(key), 0);
	bpf_map_update_elem(&counts, &key, &count, BPF_ANY);
	bpf_map_update_elem(&silent, &key, &count, BPF_ANY);
	bpf_printk("key %d", key);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
