// SPDX-License-Identifier: MIT OR Apache-2.0
// A program for runtimes that know no `struct __sk_buff`: its context has whole addresses, as Linux and
// Panal give them to the program after verification, and is made from what the runtime passes.
#include <linux/bpf.h>

struct peer_buff {
	__u32 len;
	__u64 data;
	__u64 data_end;
};

#define __sk_buff peer_buff

static inline __attribute__((always_inline)) int PROGRAM(struct peer_buff *skb);

#include SOURCE

#ifdef PACKET_WITHIN
// The packet is part of the program.
char packet[] = {
#embed PACKET
};

#define INPUT_BYTES packet
#define INPUT_LENGTH sizeof(packet)
#define INPUT_TYPE void
#else
struct input {
	__u64 length;
	char bytes[];
};

#define INPUT_BYTES input->bytes
#define INPUT_LENGTH input->length
#define INPUT_TYPE struct input *input
#endif

__attribute__((section("tc"), used)) __u64 entry(INPUT_TYPE)
{
	struct peer_buff skb = {
		.len = INPUT_LENGTH,
		.data = (long)INPUT_BYTES,
		.data_end = (long)INPUT_BYTES + INPUT_LENGTH,
	};

	return (__u32)PROGRAM(&skb);
}
