// SPDX-License-Identifier: MIT OR Apache-2.0
// A socket that was looked up is not released
//
// `bpf_sk_lookup_tcp` takes a reference, which must be given back.

#include "gallery.h"

SEC("tc")
int socket_leaked(struct __sk_buff *ctx)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;

	sk = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
#ifdef FIX
	if (sk)
		bpf_sk_release(sk);
#endif
	return sk != 0;
}
