// SPDX-License-Identifier: MIT OR Apache-2.0
// A helper writes more than the buffer holds
//
// The size that is passed must fit the buffer that is passed.

#include "gallery.h"

SEC("tracepoint/syscalls/sys_enter_getpid")
int buffer_too_small(void *ctx)
{
#ifdef FIX
	char comm[16];
#else
	char comm[8];
#endif

	bpf_get_current_comm(comm, 16);
	return comm[0];
}
