// SPDX-License-Identifier: MIT OR Apache-2.0
// A ring buffer record is neither submitted nor discarded
//
// What is reserved must be given back on every path, also where the program gives up early.

#include "gallery.h"

SEC("tracepoint/syscalls/sys_enter_getpid")
int reference_leaked(void *ctx)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		return 0;
	e->pid = bpf_get_current_pid_tgid() >> 32;
	if (bpf_get_current_comm(e->comm, sizeof(e->comm))) {
#ifdef FIX
		bpf_ringbuf_discard(e, 0);
#endif
		return 0;
	}
	bpf_ringbuf_submit(e, 0);
	return 0;
}
