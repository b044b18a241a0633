// SPDX-License-Identifier: MIT OR Apache-2.0
// A kernel function wants an object that is surely alive
//
// A pointer that was read from another object may dangle. Functions that take a reference want one that cannot.
//
// profile: host

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
void bpf_task_release(struct task_struct *p) __ksym;

SEC("tp_btf/task_newtask")
int BPF_PROG(kfunc_needs_trust, struct task_struct *task, u64 clone_flags)
{
	struct task_struct *held;

#ifdef FIX
	held = bpf_task_acquire(task);
#else
	held = bpf_task_acquire(task->parent);
#endif
	if (held)
		bpf_task_release(held);
	return 0;
}
