// SPDX-License-Identifier: MIT OR Apache-2.0
// A program that may sleep uses a map that does not allow it
//
// Such programs use arrays, hash tables, ring buffers and storages.
//
// profile: host

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 64);
	__uint(key_size, 4);
	__uint(value_size, 1016);
} stacks SEC(".maps");

#ifdef FIX
SEC("iter/task")
#else
SEC("iter.s/task")
#endif
int sleepable_map(struct bpf_iter__task *ctx)
{
	return bpf_get_stackid(ctx, &stacks, 0) < 0;
}
