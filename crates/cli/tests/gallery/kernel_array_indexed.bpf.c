// SPDX-License-Identifier: MIT OR Apache-2.0
// An array in a kernel object is read at a variable index
//
// Fields of kernel objects are read by name; a copy can be indexed.
//
// profile: host

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/sched_switch")
int BPF_PROG(kernel_array_indexed, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	u32 index = prev->pid & 15;

#ifdef FIX
	char comm[16];

	bpf_probe_read_kernel(comm, sizeof(comm), prev->comm);
	return comm[index];
#else
	return prev->comm[index];
#endif
}
