// SPDX-License-Identifier: MIT OR Apache-2.0
// A task is kept in a map by an assignment
//
// A `__kptr` field owns what it holds: what was in it must come out, and be released.
//
// profile: host

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct held {
	struct task_struct __kptr *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct held);
} tasks SEC(".maps");

static const u32 zero;

struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
void bpf_task_release(struct task_struct *p) __ksym;

SEC("tp_btf/task_newtask")
int BPF_PROG(kptr_assigned, struct task_struct *task, u64 clone_flags)
{
	struct held *held = bpf_map_lookup_elem(&tasks, &zero);

	if (!held)
		return 0;
#ifdef FIX
	task = bpf_task_acquire(task);
	if (!task)
		return 0;
	task = bpf_kptr_xchg(&held->task, task);
	if (task)
		bpf_task_release(task);
#else
	held->task = task;
#endif
	return 0;
}
