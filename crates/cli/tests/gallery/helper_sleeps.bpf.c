// SPDX-License-Identifier: MIT OR Apache-2.0
// A helper that may sleep in a program that may not
//
// Only programs that are loaded as sleepable may call helpers that may wait for memory.

#include "gallery.h"

#ifdef FIX
SEC("lsm.s/file_open")
#else
SEC("lsm/file_open")
#endif
int helper_sleeps(void *ctx)
{
	__u32 value = 0;

	bpf_copy_from_user(&value, sizeof(value), (void *)4096);
	return value == 7 ? -1 : 0;
}
