// SPDX-License-Identifier: MIT OR Apache-2.0
// One program that is fine, one that no verifier may accept, one that is optional.
//
//   clang-22 -O2 -g -target bpf -mcpu=v3 -idirafter /usr/include/$(uname -m)-linux-gnu \
//       -fdebug-compilation-dir=. -c crates/cli/tests/objects/rejected.bpf.c \
//       -o crates/cli/tests/objects/rejected.bpf.o
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct pair {
	__u32 left;
	__u32 right;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct pair);
} pairs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} jumps SEC(".maps");

const volatile __u32 wanted = 1;

SEC("xdp")
int fine(struct xdp_md *ctx)
{
	__u32 key = 7;
	struct pair *pair = bpf_map_lookup_elem(&pairs, &key);
	__u64 *counter;

	if (!pair)
		return wanted;
	key = 1;
	counter = bpf_map_lookup_elem(&counters, &key);
	bpf_tail_call(ctx, &jumps, 0);
	return pair->left + pair->right + (counter ? *counter : 0);
}

SEC("?xdp")
int no_check(struct xdp_md *ctx)
{
	__u32 key = 7;
	struct pair *pair = bpf_map_lookup_elem(&pairs, &key);

	return pair->right; // may be null
}

SEC("?xdp")
int forever(struct xdp_md *ctx)
{
	volatile __u32 round = 0;

	for (;;)
		round++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
