// SPDX-License-Identifier: MIT OR Apache-2.0
// Probe reads: records of 16 bytes and strings read from a map's value, 32 times.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct text {
	char name[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct text);
} texts SEC(".maps");

SEC("tc")
int probes(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u64 sum = 0;
	struct text *t = bpf_map_lookup_elem(&texts, &zero);

	if (!t)
		return 0;
	for (__u32 i = 0; i < 32; i++)
		t->name[i * 7 + 3] = 'a' + (i & 15);
	for (__u32 i = 0; i < 32; i++) {
		__u64 record[2] = {}, one = 0;

		bpf_probe_read_kernel(record, sizeof(record), t->name + i * 4);
		bpf_probe_read_kernel(&one, sizeof(one), t->name + i * 7);
		sum += record[0] ^ record[1] ^ one;
	}
	return (sum ^ sum >> 32) & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
