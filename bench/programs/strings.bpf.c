// SPDX-License-Identifier: MIT OR Apache-2.0
// Strings of the kernel: `bpf_probe_read_kernel_str` of names and `bpf_strncmp`.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct text {
	char name[64][16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct text);
} texts SEC(".maps");

SEC("tc")
int strings(struct __sk_buff *skb)
{
	__u32 zero = 0, sum = 0;
	struct text *t = bpf_map_lookup_elem(&texts, &zero);

	if (!t)
		return 0;
	for (__u32 i = 0; i < 16; i++) {
		for (__u32 j = 0; j < 12; j++)
			t->name[i][j] = 'a' + (i * 5 + j) % 26;
	}
	for (__u32 i = 0; i < 16; i++) {
		char name[16];

		sum += bpf_probe_read_kernel_str(name, sizeof(name), t->name[i]);
		sum += bpf_strncmp(name, 16, "fghijklmnopq") == 0;
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
