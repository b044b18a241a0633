// SPDX-License-Identifier: MIT OR Apache-2.0
// A size without an upper bound
//
// How much a helper copies must be bounded by the buffer.

#include "gallery.h"

struct sys_enter {
	__u64 common;
	__u64 nr;
	__u64 args[6];
};

SEC("tracepoint/syscalls/sys_enter_write")
int size_unbounded(struct sys_enter *ctx)
{
	char buffer[64] = {};
	__u64 size = ctx->args[2];

#ifdef FIX
	if (size > sizeof(buffer))
		size = sizeof(buffer);
#endif
	bpf_probe_read_user(buffer, size, (void *)ctx->args[1]);
	return buffer[0];
}
