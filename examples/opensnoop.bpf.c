// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Which files are opened, by whom, and with what result.
//
//   panal run examples/opensnoop.bpf.o -- ls /etc
//
// The entry of a call knows the path and the flags, its exit the result: the entry is kept by thread
// until the exit comes. The path is read at the exit, when the kernel has read it, too, so that it is
// in memory for certain.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define PATH_LEN 256

// Only what this process opens; 0 for all.
const volatile __u32 only_pid = 0;
// Only what failed.
const volatile bool only_failed = false;

// What user space gets for each open.
struct event {
	__u64 time_ns; // since boot
	__u32 pid;
	__u32 tid;
	__u32 uid;
	__s32 ret; // a descriptor, or a negated errno
	__u32 flags; // O_*
	char comm[16];
	char path[PATH_LEN];
};

// An open that has not returned yet.
struct entry {
	const char *path;
	__u32 flags;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64); // process and thread
	__type(value, struct entry);
} entries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

// Events that found no room in the ring buffer.
__u64 lost = 0;

// Keeps the type of the events in the object's BTF, where user space finds how to print them.
const struct event *unused_event __attribute__((unused));

static __always_inline int enter(const char *path, __u32 flags)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct entry entry = { .path = path, .flags = flags };

	if (only_pid && only_pid != id >> 32)
		return 0;
	bpf_map_update_elem(&entries, &id, &entry, BPF_ANY);
	return 0;
}

static __always_inline int leave(long ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct entry *entry = bpf_map_lookup_elem(&entries, &id);
	struct event *event;

	if (!entry)
		return 0;
	if (only_failed && ret >= 0)
		goto done;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&lost, 1);
		goto done;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->pid = id >> 32;
	event->tid = id;
	event->uid = bpf_get_current_uid_gid();
	event->ret = ret;
	event->flags = entry->flags;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	if (bpf_probe_read_user_str(event->path, sizeof(event->path), entry->path) < 0)
		event->path[0] = 0;
	bpf_ringbuf_submit(event, 0);
done:
	bpf_map_delete_elem(&entries, &id);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_openat")
int enter_openat(struct trace_event_raw_sys_enter *ctx)
{
	return enter((const char *)ctx->args[1], ctx->args[2]);
}

SEC("tracepoint/syscalls/sys_exit_openat")
int exit_openat(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

// Architectures without the older call lack these two: a loader may skip them.
SEC("?tracepoint/syscalls/sys_enter_open")
int enter_open(struct trace_event_raw_sys_enter *ctx)
{
	return enter((const char *)ctx->args[0], ctx->args[1]);
}

SEC("?tracepoint/syscalls/sys_exit_open")
int exit_open(struct trace_event_raw_sys_exit *ctx)
{
	return leave(ctx->ret);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
