// SPDX-License-Identifier: MIT OR Apache-2.0
// A size that may be negative
//
// A signed size that is only checked from above may be negative.

#include "gallery.h"

struct sys_enter {
	__u64 common;
	__u64 nr;
	__u64 args[6];
};

SEC("tracepoint/syscalls/sys_enter_write")
int size_negative(struct sys_enter *ctx)
{
	char buffer[64] = {};
#ifdef FIX
	__u64 size = ctx->args[2];
#else
	__s64 size = ctx->args[2];
#endif

	if (size > (__s64)sizeof(buffer))
		return 0;
#ifdef FIX
	if (size > sizeof(buffer))
		return 0;
#endif
	bpf_probe_read_user(buffer, size, (void *)ctx->args[1]);
	return buffer[0];
}
