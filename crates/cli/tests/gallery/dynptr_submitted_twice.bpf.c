// SPDX-License-Identifier: MIT OR Apache-2.0
// A record is submitted after it was discarded
//
// Each reservation ends once.

#include "gallery.h"

SEC("tc")
int dynptr_submitted_twice(struct __sk_buff *skb)
{
	struct bpf_dynptr record;

	bpf_ringbuf_reserve_dynptr(&events, 64, 0, &record);
	if (!skb->mark)
		bpf_ringbuf_discard_dynptr(&record, 0);
#ifdef FIX
	else
#endif
		bpf_ringbuf_submit_dynptr(&record, 0);
	return 0;
}
