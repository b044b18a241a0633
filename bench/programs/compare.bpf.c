// SPDX-License-Identifier: MIT OR Apache-2.0
// Strings compared: a name of up to 24 bytes in the packet, byte by byte, with each of 24 names.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define NAMES 24
#define LONGEST 24

static const char names[NAMES][LONGEST] = {
	"accept", "accept-encoding", "accept-language", "accept-patch", "age", "allow",
	"authorization", "cache-control", "connection", "content-disposition", "content-encoding",
	"content-language", "content-length", "content-location", "content-range", "content-type",
	"cookie", "date", "etag", "expect", "expires", "forwarded", "from", "content-types",
};

SEC("tc")
int compare(struct __sk_buff *skb)
{
	char *data = (char *)(long)skb->data;
	char *end = (char *)(long)skb->data_end;
	__u32 same = 0, found = NAMES;

	if (data + LONGEST > end)
		return 0;
	for (int i = 0; i < NAMES; i++) {
		int at = 0;

		for (; at < LONGEST; at++) {
			char here = names[i][at];

			if (here != data[at])
				break;
			if (!here) {
				found = i;
				break;
			}
		}
		same += at;
	}
	return (same << 8 | found) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
