// SPDX-License-Identifier: MIT OR Apache-2.0
//
// How long each system call takes: a histogram for every call by powers of two.
//
//   panal run examples/syscall_latency.bpf.o -- ls -R /etc
//
// Each CPU counts for itself, without locks; user space adds up.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define SLOTS 32

// Only this process; 0 for all.
const volatile __u32 only_pid = 0;

// By this name user space knows that it is the number of a system call.
typedef __u32 syscall_nr;

struct histogram {
	__u64 count;
	__u64 total_ns;
	__u64 max_ns;
	__u64 slots[SLOTS]; // slot n: from 2^n up to 2^(n+1) ns; the last: all above
};

struct start {
	__u64 time_ns;
	__u32 call;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64); // process and thread
	__type(value, struct start);
} starts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 512);
	__type(key, syscall_nr);
	__type(value, struct histogram);
} latencies SEC(".maps");

static const struct histogram empty;

// Position of the highest bit, in the fixed number of steps that needs no loop.
static __always_inline __u32 log2(__u64 value)
{
	__u32 result = 0, more;

	more = (value > 0xffffffff) << 5;
	value >>= more;
	result |= more;
	more = (value > 0xffff) << 4;
	value >>= more;
	result |= more;
	more = (value > 0xff) << 3;
	value >>= more;
	result |= more;
	more = (value > 0xf) << 2;
	value >>= more;
	result |= more;
	more = (value > 0x3) << 1;
	value >>= more;
	result |= more;
	return result | value >> 1;
}

SEC("tracepoint/raw_syscalls/sys_enter")
int enter(struct trace_event_raw_sys_enter *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct start start = { .call = ctx->id };

	if (only_pid && only_pid != id >> 32)
		return 0;
	// Last, so that as little as possible of our own work is counted.
	start.time_ns = bpf_ktime_get_ns();
	bpf_map_update_elem(&starts, &id, &start, BPF_ANY);
	return 0;
}

SEC("tracepoint/raw_syscalls/sys_exit")
int leave(struct trace_event_raw_sys_exit *ctx)
{
	__u64 now = bpf_ktime_get_ns(), id = bpf_get_current_pid_tgid(), took;
	struct start *start = bpf_map_lookup_elem(&starts, &id);
	struct histogram *histogram;
	__u32 call, slot;

	if (!start)
		return 0;
	call = start->call;
	took = now - start->time_ns;
	bpf_map_delete_elem(&starts, &id);
	histogram = bpf_map_lookup_elem(&latencies, &call);
	if (!histogram) {
		bpf_map_update_elem(&latencies, &call, &empty, BPF_NOEXIST);
		histogram = bpf_map_lookup_elem(&latencies, &call);
		if (!histogram)
			return 0;
	}
	histogram->count++;
	histogram->total_ns += took;
	if (took > histogram->max_ns)
		histogram->max_ns = took;
	slot = log2(took);
	if (slot >= SLOTS)
		slot = SLOTS - 1;
	histogram->slots[slot]++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
