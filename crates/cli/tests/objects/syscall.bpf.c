// SPDX-License-Identifier: MIT OR Apache-2.0
// A program that user space runs with a context of its own. Built as events.bpf.c.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct numbers {
	__u32 a, b, sum;
};

SEC("syscall") int add(struct numbers *numbers)
{
	numbers->sum = numbers->a + numbers->b;
	return 7;
}

char LICENSE[] SEC("license") = "GPL";
