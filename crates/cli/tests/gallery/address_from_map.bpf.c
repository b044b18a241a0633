// SPDX-License-Identifier: MIT OR Apache-2.0
// An address is kept in a map and used later
//
// For the verifier an address that was stored in a map is a number.

#include "gallery.h"

SEC("kprobe/do_nanosleep")
int address_from_map(void *ctx)
{
	struct table *t = table();
	__u32 value = 0;
	__u32 *kept;

	if (!t)
		return 0;
	kept = (__u32 *)t->slots[0];
#ifdef FIX
	bpf_probe_read_kernel(&value, sizeof(value), kept);
#else
	value = *kept;
#endif
	return value;
}
