// SPDX-License-Identifier: MIT OR Apache-2.0
// Texts by helpers: `bpf_snprintf`, `bpf_strtol` and `bpf_strncmp`, 8 times.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static const char format[] = "%d %s %x";
static const char name[] = "eth0";

SEC("tc")
int texts(struct __sk_buff *skb)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < 8; i++) {
		char text[32] = {};
		__u64 values[3] = { i * 1000, (__u64)name, i + 0x1234 };
		long number = 0;

		sum += bpf_snprintf(text, sizeof(text), format, values, sizeof(values));
		sum += bpf_strtol(text, sizeof(text), 10, &number);
		sum += number;
		sum += bpf_strncmp(text, sizeof(text), "3000 eth0 1237") == 0;
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
