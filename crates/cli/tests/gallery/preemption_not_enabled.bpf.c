// SPDX-License-Identifier: MIT OR Apache-2.0
// Preemption stays disabled on one path
//
// What is disabled must be enabled before the end, on every path.
//
// profile: host

#include "gallery.h"

void bpf_preempt_disable(void) __ksym;
void bpf_preempt_enable(void) __ksym;

SEC("xdp")
int preemption_not_enabled(struct xdp_md *ctx)
{
	bpf_preempt_disable();
	if (ctx->rx_queue_index > 7) {
#ifdef FIX
		bpf_preempt_enable();
#endif
		return XDP_DROP;
	}
	bpf_preempt_enable();
	return XDP_PASS;
}
