// SPDX-License-Identifier: MIT OR Apache-2.0
// A register is read after a call overwrote it
//
// A call leaves r1 to r5 without a value. Compilers know; hand-written assembly must, too.

#include "gallery.h"

SEC("xdp")
__attribute__((naked)) int register_uninitialised(void)
{
	asm volatile(
#ifdef FIX
		"r6 = *(u32 *)(r1 + 16);"
#else
		"r1 = *(u32 *)(r1 + 16);"
#endif
		"call %[bpf_ktime_get_ns];"
#ifdef FIX
		"r0 = r6;"
#else
		"r0 = r1;"
#endif
		"exit;"
		: : "i"(bpf_ktime_get_ns), [bpf_ktime_get_ns] "i"(bpf_ktime_get_ns));
}
