// SPDX-License-Identifier: MIT OR Apache-2.0
// Edit distance (Levenshtein) of two strings of 24 characters, one row on the stack.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define N 24

SEC("tc")
int distance(struct __sk_buff *skb)
{
	__u8 *data = (__u8 *)(long)skb->data;
	__u8 *end = (__u8 *)(long)skb->data_end;
	__u8 row[N + 1];

	if (data + 2 * N > end)
		return 0;
	for (int j = 0; j <= N; j++)
		row[j] = j;
	for (int i = 0; i < N; i++) {
		__u8 corner = row[0], left = i + 1;

		row[0] = left;
		for (int j = 0; j < N; j++) {
			__u8 up = row[j + 1];
			__u8 best = corner + ((data[i] & 3) != (data[N + j] & 3));

			if (up + 1 < best)
				best = up + 1;
			if (left + 1 < best)
				best = left + 1;
			corner = up;
			row[j + 1] = left = best;
		}
	}
	return row[N];
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
