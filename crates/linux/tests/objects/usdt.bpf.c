// SPDX-License-Identifier: MIT OR Apache-2.0
// What a program sees of a USDT probe, by libbpf's bpf_usdt_arg. Built as trace.bpf.c.
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

#define ARGS 8

struct seen {
	__u64 count;
	__s64 arg_cnt;
	__s64 args[ARGS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct seen);
} seen SEC(".maps");

static __always_inline int see(struct pt_regs *ctx, __u32 which)
{
	struct seen *seen_now = bpf_map_lookup_elem(&seen, &which);
	long value;

	if (!seen_now)
		return 0;
	seen_now->count++;
	seen_now->arg_cnt = bpf_usdt_arg_cnt(ctx);
#pragma clang loop unroll(full)
	for (int i = 0; i < ARGS; i++) {
		bpf_usdt_arg(ctx, i, &value);
		seen_now->args[i] = value;
	}
	return 0;
}

SEC("?usdt//proc/self/exe:panal:arguments")
int on_arguments(struct pt_regs *ctx)
{
	return see(ctx, 0);
}

SEC("?usdt//proc/self/exe:panal:listened")
int on_listened(struct pt_regs *ctx)
{
	return see(ctx, 1);
}

SEC("?usdt//proc/self/exe:panal:missing")
int on_missing(struct pt_regs *ctx)
{
	return see(ctx, 1);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
