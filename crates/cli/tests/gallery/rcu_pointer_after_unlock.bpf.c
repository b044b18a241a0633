// SPDX-License-Identifier: MIT OR Apache-2.0
// A pointer is used after the RCU section in which it was read
//
// The section is what keeps the object alive.
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
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u64);
} seen SEC(".maps");

void bpf_rcu_read_lock(void) __ksym;
void bpf_rcu_read_unlock(void) __ksym;

SEC("iter.s/task")
int rcu_pointer_after_unlock(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *parent;

	if (!task)
		return 0;
	bpf_rcu_read_lock();
	parent = task->real_parent;
#ifdef FIX
	if (parent)
		bpf_task_storage_delete(&seen, parent);
	bpf_rcu_read_unlock();
#else
	bpf_rcu_read_unlock();
	if (parent)
		bpf_task_storage_delete(&seen, parent);
#endif
	return 0;
}
