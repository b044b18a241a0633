// SPDX-License-Identifier: MIT OR Apache-2.0
// A socket option's value is read without a comparison
//
// It lies between `optval` and `optval_end`, whatever `optlen` says.

#include "gallery.h"

SEC("cgroup/setsockopt")
int option_unchecked(struct bpf_sockopt *ctx)
{
	__u8 *value = ctx->optval;

#ifdef FIX
	if (value + 4 > (__u8 *)ctx->optval_end)
#else
	if (ctx->optlen < 4)
#endif
		return 1;
	return value[3] == 0;
}
