// SPDX-License-Identifier: MIT OR Apache-2.0
// A function moves the packet, and its caller goes on with the old pointers
//
// What a function calls counts for its callers, too.

#include "gallery.h"

static __noinline int make_room(struct __sk_buff *skb)
{
	return bpf_skb_pull_data(skb, 64);
}

SEC("tc")
int packet_lost_in_function(struct __sk_buff *skb)
{
	__u8 *data = (void *)(long)skb->data;

	if (data + 14 > (__u8 *)(long)skb->data_end)
		return 0;
	make_room(skb);
#ifdef FIX
	data = (void *)(long)skb->data;
	if (data + 14 > (__u8 *)(long)skb->data_end)
		return 0;
#endif
	return data[13] ? 2 : 0;
}
