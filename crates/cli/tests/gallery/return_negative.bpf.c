// SPDX-License-Identifier: MIT OR Apache-2.0
// An error number is returned where only a verdict may be
//
// Programs on cgroups return 0 to drop and 1 to pass, no `-EPERM`.

#include "gallery.h"

SEC("cgroup/sock_create")
int return_negative(struct bpf_sock *ctx)
{
#ifdef FIX
	return ctx->family != 2;
#else
	return ctx->family == 2 ? -1 : 1;
#endif
}
