// SPDX-License-Identifier: MIT OR Apache-2.0
// A dynptr of the ring buffer is not given back
//
// A dynptr must be submitted or discarded even when the reservation failed.

#include "gallery.h"

SEC("tracepoint/syscalls/sys_enter_getpid")
int dynptr_not_submitted(void *ctx)
{
	struct bpf_dynptr record;
	__u32 pid = bpf_get_current_pid_tgid() >> 32;

	if (bpf_ringbuf_reserve_dynptr(&events, sizeof(pid), 0, &record)) {
#ifdef FIX
		bpf_ringbuf_discard_dynptr(&record, 0);
#endif
		return 0;
	}
	bpf_dynptr_write(&record, 0, &pid, sizeof(pid), 0);
	bpf_ringbuf_submit_dynptr(&record, 0);
	return 0;
}
