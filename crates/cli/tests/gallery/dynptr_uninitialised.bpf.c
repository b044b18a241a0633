// SPDX-License-Identifier: MIT OR Apache-2.0
// A dynptr is used that was not made
//
// A dynptr is made by a helper before anything else is done with it.

#include "gallery.h"

SEC("tracepoint/syscalls/sys_enter_getpid")
int dynptr_uninitialised(void *ctx)
{
	struct bpf_dynptr record;
	struct table *t = table();
	__u32 first = 0;

	if (!t)
		return 0;
#ifdef FIX
	bpf_dynptr_from_mem(t, sizeof(*t), 0, &record);
#endif
	bpf_dynptr_read(&first, sizeof(first), &record, 0, 0);
	return first;
}
