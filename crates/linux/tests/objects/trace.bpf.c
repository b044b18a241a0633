// SPDX-License-Identifier: MIT OR Apache-2.0
// A program for each way of being attached to a running Linux; each counts in its own element.
//
//   clang-22 -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 \
//       -idirafter /usr/include/$(uname -m)-linux-gnu -fdebug-compilation-dir=. \
//       -c crates/linux/tests/objects/trace.bpf.c -o crates/linux/tests/objects/trace.bpf.o
//   llvm-strip-22 -g crates/linux/tests/objects/trace.bpf.o
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

enum kind {
	TRACEPOINT,
	RAW_TRACEPOINT,
	RAW_TRACEPOINT_WRITABLE,
	TP_BTF,
	UPROBE,
	URETPROBE,
	UPROBE_OFFSET,
	UPROBE_LIBRARY,
	UPROBE_MULTI,
	URETPROBE_MULTI,
	UPROBE_SESSION,
	UPROBE_SLEEPABLE,
	SAMPLING,
	KPROBE,
	KRETPROBE,
	KPROBE_MULTI,
	KPROBE_SESSION,
	FENTRY,
	FEXIT,
	FMOD_RET,
	LSM,
	KINDS,
};

struct hit {
	__u64 count;
	__u64 value; // what the program saw last
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KINDS);
	__type(key, __u32);
	__type(value, struct hit);
} hits SEC(".maps") __attribute__((btf_decl_tag("print")));

// Keeps the names of the kinds in the object's types.
const enum kind *unused_kind __attribute__((unused));

static __always_inline int hit(__u32 kind, __u64 value)
{
	struct hit *hit = bpf_map_lookup_elem(&hits, &kind);

	if (hit) {
		__sync_fetch_and_add(&hit->count, 1);
		hit->value = value;
	}
	return 0;
}

struct sys_enter_args {
	__u64 common;
	__s64 nr;
	__u64 args[6];
};

SEC("?tracepoint/syscalls/sys_enter_getpriority")
int on_tracepoint(struct sys_enter_args *ctx)
{
	return hit(TRACEPOINT, ctx->args[1]);
}

#define NR_getpriority 140

SEC("?raw_tp/sys_enter")
int on_raw_tracepoint(struct bpf_raw_tracepoint_args *ctx)
{
	return ctx->args[1] == NR_getpriority ? hit(RAW_TRACEPOINT, ctx->args[1]) : 0;
}

// Fires at the end of every test run; what is written there becomes the test run's error.
SEC("?raw_tp.w/bpf_test_finish")
int on_raw_tracepoint_writable(struct bpf_raw_tracepoint_args *ctx)
{
	int *error = (int *)ctx->args[0];

	hit(RAW_TRACEPOINT_WRITABLE, *error);
	*error = -28; // ENOSPC
	return 0;
}

SEC("?tp_btf/sys_enter")
int on_tp_btf(__u64 *ctx)
{
	return ctx[1] == NR_getpriority ? hit(TP_BTF, ctx[1]) : 0;
}

SEC("?uprobe//proc/self/exe:panal_probed")
int on_uprobe(struct pt_regs *ctx)
{
	return hit(UPROBE, PT_REGS_PARM1(ctx));
}

SEC("?uretprobe//proc/self/exe:panal_probed")
int on_uretprobe(struct pt_regs *ctx)
{
	return hit(URETPROBE, PT_REGS_RC(ctx));
}

SEC("?uprobe.s//proc/self/exe:panal_probed")
int on_uprobe_sleepable(struct pt_regs *ctx)
{
	return hit(UPROBE_SLEEPABLE, PT_REGS_PARM2(ctx));
}

SEC("?uprobe/libc.so.6:getpriority")
int on_uprobe_library(struct pt_regs *ctx)
{
	return hit(UPROBE_LIBRARY, PT_REGS_PARM2(ctx));
}

SEC("?uprobe.multi//proc/self/exe:panal_probed*")
int on_uprobe_multi(struct pt_regs *ctx)
{
	return hit(UPROBE_MULTI, PT_REGS_PARM1(ctx));
}

SEC("?uretprobe.multi//proc/self/exe:panal_probed*")
int on_uretprobe_multi(struct pt_regs *ctx)
{
	return hit(URETPROBE_MULTI, PT_REGS_RC(ctx));
}

SEC("?uprobe.session//proc/self/exe:panal_probed")
int on_uprobe_session(struct pt_regs *ctx)
{
	return hit(UPROBE_SESSION, PT_REGS_IP(ctx));
}

SEC("?perf_event")
int on_sample(struct bpf_perf_event_data *ctx)
{
	return hit(SAMPLING, bpf_get_current_pid_tgid() >> 32);
}

SEC("?kprobe/__x64_sys_getpriority")
int on_kprobe(struct pt_regs *ctx)
{
	return hit(KPROBE, 0);
}

SEC("?kretprobe/__x64_sys_getpriority")
int on_kretprobe(struct pt_regs *ctx)
{
	return hit(KRETPROBE, PT_REGS_RC(ctx));
}

SEC("?kprobe.multi/__x64_sys_getpriorit*")
int on_kprobe_multi(struct pt_regs *ctx)
{
	return hit(KPROBE_MULTI, 0);
}

SEC("?kprobe.session/__x64_sys_getpriority")
int on_kprobe_session(struct pt_regs *ctx)
{
	return hit(KPROBE_SESSION, 0);
}

SEC("?fentry/__x64_sys_getpriority")
int on_fentry(__u64 *ctx)
{
	return hit(FENTRY, 0);
}

SEC("?fexit/__x64_sys_getpriority")
int on_fexit(__u64 *ctx)
{
	return hit(FEXIT, ctx[1]);
}

SEC("?fmod_ret/__x64_sys_getpriority")
int on_fmod_ret(__u64 *ctx)
{
	return hit(FMOD_RET, 0);
}

SEC("?lsm/task_getscheduler")
int on_lsm(__u64 *ctx)
{
	return hit(LSM, 0);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
