// SPDX-License-Identifier: MIT OR Apache-2.0
// A part of a context pointer field is read
//
// Some fields are pointers in disguise, and can only be read as a whole.

#include "gallery.h"

SEC("xdp")
int context_field_partly(struct xdp_md *ctx)
{
#ifdef FIX
	return *(volatile __u32 *)&ctx->data_end == ctx->data;
#else
	return *(volatile __u8 *)&ctx->data_end;
#endif
}
