// SPDX-License-Identifier: MIT OR Apache-2.0
// A format string that is not constant
//
// Format strings are read while the program is verified: they must lie in read-only data.

#include "gallery.h"

SEC("xdp")
int format_not_constant(struct xdp_md *ctx)
{
	char out[32];
	__u64 number = ctx->rx_queue_index;
#ifdef FIX
	static const char format[] = "queue %d";
#else
	char format[] = "queue %d";
#endif

	bpf_snprintf(out, sizeof(out), format, &number, sizeof(number));
	return out[0];
}
