// SPDX-License-Identifier: MIT OR Apache-2.0
// A field is read that belongs to another hook
//
// Programs of one type may see different fields, by where they are attached.

#include "gallery.h"

SEC("cgroup/connect4")
int context_field_other_hook(struct bpf_sock_addr *ctx)
{
#ifdef FIX
	return ctx->user_ip4 != 0;
#else
	return ctx->user_ip6[0] != 0;
#endif
}
