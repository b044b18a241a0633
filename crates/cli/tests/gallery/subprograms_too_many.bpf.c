// SPDX-License-Identifier: MIT OR Apache-2.0
// More functions than a program can have
//
// A program and what it calls are 256 functions at most.

#include "gallery.h"

#ifdef FIX
#define FUNCTION static __always_inline
#else
#define FUNCTION static __noinline
#endif

#define F(n) FUNCTION int f##n(volatile int *x) { return *x + n; }
#define F4(n) F(n##0) F(n##1) F(n##2) F(n##3)
#define F16(n) F4(n##0) F4(n##1) F4(n##2) F4(n##3)
#define F64(n) F16(n##0) F16(n##1) F16(n##2) F16(n##3)
#define C(n) sum += f##n(&x);
#define C4(n) C(n##0) C(n##1) C(n##2) C(n##3)
#define C16(n) C4(n##0) C4(n##1) C4(n##2) C4(n##3)
#define C64(n) C16(n##0) C16(n##1) C16(n##2) C16(n##3)

F64(1)
F64(2)
F64(3)
F64(4)

SEC("xdp")
int subprograms_too_many(struct xdp_md *ctx)
{
	volatile int x = ctx->rx_queue_index;
	int sum = 0;

	C64(1)
	C64(2)
	C64(3)
	C64(4)
	return sum & 1 ? XDP_DROP : XDP_PASS;
}
