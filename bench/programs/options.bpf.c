// SPDX-License-Identifier: MIT OR Apache-2.0
// Packet parsing: VLAN tags, IPv6 extension headers, TCP options of 16 frames of 60 bytes.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __always_inline __u32 tcp_options(__u8 *at, __u8 *end)
{
	// In memory, so that the verifier forgets the way there.
	volatile __u32 done = 0;
	__u32 sum = 0;

	for (int i = 0; i < 10; i++) {
		__u8 *option = at + (done & 15), kind;
		__u32 size = 1;

		if (done > 8 || option + 4 > end)
			break;
		kind = option[0];
		if (kind == 0)
			break;
		if (kind != 1) {
			size = option[1] & 7;
			if (size < 2)
				break;
			if (kind == 2)
				sum += option[2] << 8 | option[3];
			else
				sum ^= kind << 4 | size;
		}
		done += size;
	}
	return sum;
}

SEC("tc")
int options(struct __sk_buff *skb)
{
	__u8 *data = (__u8 *)(long)skb->data;
	__u8 *end = (__u8 *)(long)skb->data_end;
	__u32 sum = 0;

	for (int i = 0; i < 16; i++) {
		__u8 *at = data + i * 60;
		volatile __u32 header = 40;
		__u16 kind;

		if (at + 60 > end)
			break;
		kind = *(__u16 *)(at + 12);
		at += 14;
		for (int tag = 0; tag < 2; tag++) {
			if (kind != __builtin_bswap16(0x8100) && kind != __builtin_bswap16(0x88a8))
				break;
			sum += *(__u16 *)at;
			kind = *(__u16 *)(at + 2);
			at += 4;
		}
		if (kind == __builtin_bswap16(0x0800)) {
			header = (at[0] & 15) * 4;
			if (header < 20)
				continue;
			sum += at[9] + __builtin_bswap32(*(__u32 *)(at + 12));
		} else if (kind == __builtin_bswap16(0x86dd)) {
			__u8 next = at[6];

			for (int n = 0; n < 4; n++) {
				__u8 *extension = at + (header & 127);

				if (next != 0 && next != 43 && next != 60)
					break;
				if (extension + 8 > end)
					break;
				next = extension[0];
				header += (extension[1] & 3) * 8 + 8;
			}
			sum += next;
		} else {
			sum++;
			continue;
		}
		at += header & 127;
		if (at + 20 > end)
			continue;
		sum += *(__u16 *)at ^ *(__u16 *)(at + 2);
		sum += tcp_options(at + 8, end);
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
