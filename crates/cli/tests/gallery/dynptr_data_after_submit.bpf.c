// SPDX-License-Identifier: MIT OR Apache-2.0
// A slice of a record is used after the record was submitted
//
// What bpf_dynptr_data() gives lives as long as its dynptr.

#include "gallery.h"

SEC("tc")
int dynptr_data_after_submit(struct __sk_buff *skb)
{
	struct bpf_dynptr record;
	__u32 *data;

	bpf_ringbuf_reserve_dynptr(&events, 64, 0, &record);
	data = bpf_dynptr_data(&record, 0, 8);
	if (!data) {
		bpf_ringbuf_discard_dynptr(&record, 0);
		return 0;
	}
#ifdef FIX
	data[0] = skb->mark;
	bpf_ringbuf_submit_dynptr(&record, 0);
#else
	bpf_ringbuf_submit_dynptr(&record, 0);
	data[0] = skb->mark;
#endif
	return 0;
}
