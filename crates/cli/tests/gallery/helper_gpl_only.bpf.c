// SPDX-License-Identifier: MIT OR Apache-2.0
// A helper that only GPL-compatible programs may call
//
// Many tracing helpers ask for a licence that is compatible with the GPL.

#ifndef FIX
#define LICENCE "Proprietary"
#endif
#include "gallery.h"

SEC("tracepoint/syscalls/sys_enter_getpid")
int helper_gpl_only(void *ctx)
{
	bpf_printk("getpid");
	return 0;
}
