// SPDX-License-Identifier: MIT OR Apache-2.0
// More is copied than the destination has room for
//
// The size belongs to the destination, not to what is copied.

#include "gallery.h"

SEC("tc")
int size_of_destination(struct __sk_buff *ctx)
{
	struct event event = {};
	char name[64] = {};

#ifdef FIX
	bpf_probe_read_kernel_str(event.comm, sizeof(event.comm), name);
#else
	bpf_probe_read_kernel_str(event.comm, sizeof(name), name);
#endif
	return event.comm[0];
}
