// SPDX-License-Identifier: MIT OR Apache-2.0
// A kernel pointer is followed directly in a kprobe
//
// What a kprobe finds in registers are numbers; memory behind them is read by probing.

#define __TARGET_ARCH_x86
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

SEC("kprobe/do_nanosleep")
int kernel_pointer_followed(struct pt_regs *ctx)
{
	struct task_struct *task = (struct task_struct *)PT_REGS_PARM1(ctx);

#ifdef FIX
	return BPF_CORE_READ(task, pid);
#else
	return task->pid;
#endif
}
