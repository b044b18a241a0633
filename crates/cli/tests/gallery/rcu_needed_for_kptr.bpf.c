// SPDX-License-Identifier: MIT OR Apache-2.0
// A task in a map is used outside of an RCU section
//
// Another program may take it out and release it at any time, but for RCU sections. Tracing programs that may not
// sleep run in one; programs of this type do not.
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

void bpf_rcu_read_lock(void) __ksym;
void bpf_rcu_read_unlock(void) __ksym;

SEC("syscall")
int rcu_needed_for_kptr(void *ctx)
{
	struct held *held = bpf_map_lookup_elem(&tasks, &zero);
	struct task_struct *task;

	if (!held)
		return 0;
#ifdef FIX
	bpf_rcu_read_lock();
#endif
	task = held->task;
	if (task)
		task = bpf_task_acquire(task);
#ifdef FIX
	bpf_rcu_read_unlock();
#endif
	if (task)
		bpf_task_release(task);
	return 0;
}
