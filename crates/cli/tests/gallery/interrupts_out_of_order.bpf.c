// SPDX-License-Identifier: MIT OR Apache-2.0
// Interrupts are restored in the wrong order
//
// What was saved last is restored first.
//
// profile: host

#include "gallery.h"

void bpf_local_irq_save(unsigned long *flags) __ksym;
void bpf_local_irq_restore(unsigned long *flags) __ksym;

SEC("tc")
int interrupts_out_of_order(struct __sk_buff *skb)
{
	unsigned long outer, inner;

	bpf_local_irq_save(&outer);
	bpf_local_irq_save(&inner);
#ifdef FIX
	bpf_local_irq_restore(&inner);
	bpf_local_irq_restore(&outer);
#else
	bpf_local_irq_restore(&outer);
	bpf_local_irq_restore(&inner);
#endif
	return 0;
}
