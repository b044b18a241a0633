// SPDX-License-Identifier: MIT OR Apache-2.0
// A ring buffer record is used after it was submitted
//
// After a release the object belongs to someone else.

#include "gallery.h"

SEC("tracepoint/syscalls/sys_enter_getpid")
int reference_used_after_release(void *ctx)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	__u32 pid;

	if (!e)
		return 0;
	e->pid = bpf_get_current_pid_tgid() >> 32;
#ifdef FIX
	pid = e->pid;
	bpf_ringbuf_submit(e, 0);
#else
	bpf_ringbuf_submit(e, 0);
	pid = *(volatile __u32 *)&e->pid;
#endif
	return pid == 1;
}
