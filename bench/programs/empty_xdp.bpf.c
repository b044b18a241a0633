// SPDX-License-Identifier: MIT OR Apache-2.0
// Nothing: what it costs to enter an XDP program.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int empty_xdp(struct xdp_md *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
