// SPDX-License-Identifier: MIT OR Apache-2.0
// What a `__kptr` field held before is not released
//
// bpf_kptr_xchg() hands it out, and the program owns it from then on.
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
int BPF_PROG(kptr_exchanged_leaked, struct task_struct *task, u64 clone_flags)
{
	struct held *held = bpf_map_lookup_elem(&tasks, &zero);
	struct task_struct *old;

	if (!held)
		return 0;
	task = bpf_task_acquire(task);
	if (!task)
		return 0;
	old = bpf_kptr_xchg(&held->task, task);
#ifdef FIX
	if (old)
		bpf_task_release(old);
#endif
	return old != 0;
}
