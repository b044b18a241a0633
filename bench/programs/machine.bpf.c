// SPDX-License-Identifier: MIT OR Apache-2.0
// A state machine by table: words, numbers and strings of the packet's first 512 bytes are counted.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum class { SPACE, LETTER, DIGIT, QUOTE, OTHER, CLASSES };
enum state { BETWEEN, WORD, NUMBER, STRING, STATES };

static const __u8 next[STATES][8] = {
	[BETWEEN] = { BETWEEN, WORD, NUMBER, STRING, BETWEEN },
	[WORD] = { BETWEEN, WORD, WORD, STRING, BETWEEN },
	[NUMBER] = { BETWEEN, WORD, NUMBER, STRING, BETWEEN },
	[STRING] = { STRING, STRING, STRING, BETWEEN, STRING },
};

static __always_inline enum class classify(__u8 byte)
{
	if (byte == ' ' || byte == '\n')
		return SPACE;
	if (byte == '"')
		return QUOTE;
	if (byte - '0' < 10u)
		return DIGIT;
	if ((byte | 0x20) - 'a' < 26u)
		return LETTER;
	return OTHER;
}

SEC("tc")
int machine(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	// In memory, so that the verifier forgets the way there.
	volatile __u32 state = BETWEEN;
	__u32 begun = 0, strings = 0;

	for (int i = 0; i < 512; i++) {
		__u8 *byte = data + i;
		__u32 now;

		if ((void *)(byte + 1) > end)
			break;
		now = next[state & 3][classify(*byte)];
		begun += now != state;
		strings += now == STRING;
		state = now;
	}
	return (begun << 10 ^ strings) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
