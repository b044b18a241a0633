// SPDX-License-Identifier: MIT OR Apache-2.0
// Code that nothing leads to
//
// This happens in hand-written assembly: compilers leave out what cannot be reached.

#include "gallery.h"

SEC("xdp")
__attribute__((naked)) int code_unreachable(void)
{
	asm volatile(
		"r0 = 2;"
		"exit;"
#ifndef FIX
		"r0 = 1;"
		"exit;"
#endif
		::: "memory");
}
