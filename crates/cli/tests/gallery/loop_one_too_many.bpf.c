// SPDX-License-Identifier: MIT OR Apache-2.0
// A loop runs one round too many
//
// The length that a helper returns has the terminating 0 in it, and may be the whole buffer.

#include "gallery.h"

SEC("raw_tp/sys_enter")
int loop_one_too_many(struct bpf_raw_tracepoint_args *ctx)
{
	volatile char name[16];
	long length = bpf_probe_read_kernel_str((void *)name, sizeof(name), (void *)ctx->args[0]);
	int hash = 0;

	if (length < 0)
		return 0;
#ifdef FIX
	for (long i = 0; i < length; i++)
#else
	for (long i = 0; i <= length; i++)
#endif
		hash = hash * 31 + name[i];
	return hash & 1;
}
