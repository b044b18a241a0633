// SPDX-License-Identifier: MIT OR Apache-2.0
// A pointer is found to be NULL, and used all the same
//
// A message is not a way out: the path goes on to the access.

#include "gallery.h"

SEC("tc")
int null_test_without_return(struct __sk_buff *skb)
{
	struct table *t = table();

	if (!t) {
		bpf_printk("no table for %d", skb->ifindex);
#ifdef FIX
		return 0;
#endif
	}
	__sync_fetch_and_add(&t->slots[0], 1);
	return 0;
}
