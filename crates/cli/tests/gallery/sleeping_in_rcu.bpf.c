// SPDX-License-Identifier: MIT OR Apache-2.0
// A helper that may sleep is called in an RCU section
//
// Whoever sleeps would hold up all that wait for the section's end.
//
// profile: host

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

void bpf_rcu_read_lock(void) __ksym;
void bpf_rcu_read_unlock(void) __ksym;

SEC("iter.s/task")
int sleeping_in_rcu(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	char bytes[8] = {};
	int pid = 0;

	if (!task)
		return 0;
	bpf_rcu_read_lock();
	if (task->real_parent)
		pid = task->real_parent->pid;
#ifdef FIX
	bpf_rcu_read_unlock();
	bpf_copy_from_user(bytes, sizeof(bytes), (void *)0x1000);
#else
	bpf_copy_from_user(bytes, sizeof(bytes), (void *)0x1000);
	bpf_rcu_read_unlock();
#endif
	return (pid + bytes[0]) & 1;
}
