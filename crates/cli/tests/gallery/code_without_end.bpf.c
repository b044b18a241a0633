// SPDX-License-Identifier: MIT OR Apache-2.0
// A function that does not end
//
// A function must end with `exit` on every path, or with a jump.

#include "gallery.h"

SEC("xdp")
__attribute__((naked)) int code_without_end(void)
{
	asm volatile(
		"r0 = 2;"
#ifdef FIX
		"exit;"
#else
		"r1 = 1;"
#endif
		::: "memory");
}
