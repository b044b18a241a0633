// SPDX-License-Identifier: MIT OR Apache-2.0
// Packets by dynamic pointers: 24 headers by `bpf_dynptr_slice`.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct bpf_dynptr;
extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ptr) __weak __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u32 offset, void *buffer, __u32 size) __weak __ksym;

SEC("tc")
int slices(struct __sk_buff *skb)
{
	struct bpf_dynptr pointer;
	__u32 sum = 0;

	if (bpf_dynptr_from_skb(skb, 0, &pointer))
		return 0;
	for (__u32 i = 0; i < 24; i++) {
		__u32 buffer[5], *header;

		header = bpf_dynptr_slice(&pointer, i * 32, buffer, sizeof(buffer));
		if (header)
			sum += header[0] ^ header[3];
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
