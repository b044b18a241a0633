// SPDX-License-Identifier: MIT OR Apache-2.0
// Functions that call each other need too much stack together
//
// 512 bytes are for all functions that are active at once.

#include "gallery.h"

#ifdef FIX
#define SIZE 128
#else
#define SIZE 280
#endif

static __noinline int sum(struct __sk_buff *skb)
{
	char bytes[SIZE];

	bpf_skb_load_bytes(skb, 0, bytes, sizeof(bytes));
	return bytes[0] + bytes[SIZE - 1];
}

SEC("tc")
int stack_combined(struct __sk_buff *skb)
{
	char bytes[SIZE];

	bpf_skb_load_bytes(skb, 0, bytes, sizeof(bytes));
	return sum(skb) + bytes[0];
}
