// SPDX-License-Identifier: MIT OR Apache-2.0
// A comparison lets the index one too far
//
// An array of 16 bytes has the indices 0 to 15.

#include "gallery.h"

SEC("tc")
int stack_index_off_by_one(struct __sk_buff *skb)
{
	volatile char bytes[16];
	__u32 index = skb->mark;

	bpf_skb_load_bytes(skb, 0, (void *)bytes, sizeof(bytes));
#ifdef FIX
	if (index >= sizeof(bytes))
#else
	if (index > sizeof(bytes))
#endif
		return 0;
	return bytes[index];
}
