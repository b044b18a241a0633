// SPDX-License-Identifier: MIT OR Apache-2.0
// A task is acquired and not released
//
// Kernel functions that acquire an object ask for its release, as helpers do.
//
// profile: host

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
void bpf_task_release(struct task_struct *p) __ksym;

SEC("tp_btf/task_newtask")
int BPF_PROG(kptr_leaked, struct task_struct *task, u64 clone_flags)
{
	struct task_struct *first = bpf_task_from_pid(1);

#ifdef FIX
	if (first)
		bpf_task_release(first);
#endif
	return 0;
}
