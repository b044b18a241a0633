// SPDX-License-Identifier: MIT OR Apache-2.0
//
// One program for each kind of event of a process tree; what they see is counted in `seen`.
//
//   clang-22 -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -fdebug-compilation-dir=. -Iexamples \
//       -c crates/kernel/tests/tree/events.bpf.c -o crates/kernel/tests/tree/events.bpf.o
//   llvm-strip-22 -g crates/kernel/tests/tree/events.bpf.o
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define CLOSE 3
#define DUP 32

struct {
	__u64 btf_enter; // close(1234), by its number and the registers
	__u64 raw_exit; // returns of -EBADF from it
	__u64 forks, fork_comms;
	__u64 execs, exec_names;
	__u64 exits, exit_comms;
	__u64 btf_forks, btf_fork_parents;
	__u64 btf_execs, btf_exec_files;
	__u64 btf_exits, btf_exit_codes;
	__u64 parents; // opens by a task whose parent is named "sh"
	__u64 connects;
} seen;

// Where connections to port 1 go instead; 0: they are denied.
const volatile __u16 port = 0;

SEC("tp_btf/sys_enter")
int BPF_PROG(btf_enter, struct pt_regs *regs, long id)
{
	if (id == CLOSE && regs->di == 1234)
		__sync_fetch_and_add(&seen.btf_enter, 1);
	return 0;
}

SEC("raw_tp/sys_exit")
int raw_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	__u64 di;

	bpf_probe_read_kernel(&di, sizeof(di), &regs->di);
	if ((long)ctx->args[1] == -9 && di == 1234)
		__sync_fetch_and_add(&seen.raw_exit, 1);
	return 0;
}

static __always_inline bool is(const char *text, const char *name)
{
	return text[0] == name[0] && text[1] == name[1];
}

SEC("tracepoint/sched/sched_process_fork")
int forked(struct trace_event_raw_sched_process_fork *ctx)
{
	char comm[16];

	__sync_fetch_and_add(&seen.forks, 1);
	bpf_probe_read_kernel_str(comm, sizeof(comm),
				  (void *)ctx + (ctx->__data_loc_parent_comm & 0xffff));
	if (is(comm, "sh"))
		__sync_fetch_and_add(&seen.fork_comms, 1);
	return 0;
}

SEC("tracepoint/sched/sched_process_exec")
int executed(struct trace_event_raw_sched_process_exec *ctx)
{
	char name[64];

	__sync_fetch_and_add(&seen.execs, 1);
	bpf_probe_read_kernel_str(name, sizeof(name),
				  (void *)ctx + (ctx->__data_loc_filename & 0xffff));
	if (name[0] == '/' && ctx->pid == (__u32)bpf_get_current_pid_tgid())
		__sync_fetch_and_add(&seen.exec_names, 1);
	return 0;
}

SEC("tracepoint/sched/sched_process_exit")
int ended(struct trace_event_raw_sched_process_exit *ctx)
{
	__sync_fetch_and_add(&seen.exits, 1);
	if (ctx->comm[0])
		__sync_fetch_and_add(&seen.exit_comms, 1);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(btf_forked, struct task_struct *parent, struct task_struct *child)
{
	__sync_fetch_and_add(&seen.btf_forks, 1);
	if (child->real_parent->tgid == parent->tgid)
		__sync_fetch_and_add(&seen.btf_fork_parents, 1);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(btf_executed, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	char name[64];

	__sync_fetch_and_add(&seen.btf_execs, 1);
	bpf_probe_read_kernel_str(name, sizeof(name), bprm->filename);
	if (name[0] == '/' && task->group_leader->pid == task->tgid)
		__sync_fetch_and_add(&seen.btf_exec_files, 1);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(btf_ended, struct task_struct *task)
{
	__sync_fetch_and_add(&seen.btf_exits, 1);
	if (task->exit_code >> 8 == 7)
		__sync_fetch_and_add(&seen.btf_exit_codes, 1);
	return 0;
}

SEC("lsm/file_open")
int BPF_PROG(opened, struct file *file)
{
	struct task_struct *task = bpf_get_current_task_btf();
	char comm[16];

	BPF_CORE_READ_STR_INTO(&comm, task, real_parent, comm);
	if (is(comm, "sh"))
		__sync_fetch_and_add(&seen.parents, 1);
	return 0;
}

SEC("cgroup/connect4")
int connected(struct bpf_sock_addr *ctx)
{
	__sync_fetch_and_add(&seen.connects, 1);
	if (ctx->user_port != bpf_htons(1))
		return 1;
	if (!port)
		return 0;
	ctx->user_port = bpf_htons(port);
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
