// SPDX-License-Identifier: MIT OR Apache-2.0
// A ring buffer record is submitted, then discarded
//
// After a release the object is gone; it cannot be released again.

#include "gallery.h"

SEC("tracepoint/syscalls/sys_enter_getpid")
int reference_released_twice(void *ctx)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		return 0;
	e->pid = 1;
	bpf_ringbuf_submit(e, 0);
#ifndef FIX
	bpf_ringbuf_discard(e, 0);
#endif
	return 0;
}
