// SPDX-License-Identifier: MIT OR Apache-2.0
// One program for each place of the network and of cgroups where Linux runs any. Each counts how
// often it ran, under its own name, and lets everything pass.
//
//   clang-22 -O2 -g -target bpf -mcpu=v3 -idirafter /usr/include/$(uname -m)-linux-gnu \
//       -fdebug-compilation-dir=. -c crates/cli/tests/objects/network.bpf.c \
//       -o crates/cli/tests/objects/network.bpf.o
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, char[24]);
	__type(value, __u64);
} runs SEC(".maps") __attribute__((btf_decl_tag("print")));

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

static __noinline int count(char *key)
{
	__u64 one = 1, *value = bpf_map_lookup_elem(&runs, key);

	if (value)
		__sync_fetch_and_add(value, 1);
	else
		bpf_map_update_elem(&runs, key, &one, BPF_ANY);
	return 0;
}

struct bpf_nf_ctx;

// A program that counts itself and returns a value.
#define PROGRAM(section, name, context, result) \
	SEC("?" section)                        \
	int name(struct context *ctx)           \
	{                                       \
		char key[24] = #name;           \
		count(key);                     \
		return result;                  \
	}

// Network interfaces.
PROGRAM("xdp", on_xdp, xdp_md, XDP_PASS)
PROGRAM("xdp", on_xdp_two, xdp_md, XDP_PASS)
PROGRAM("tc/ingress", on_tcx_ingress, __sk_buff, -1 /* TCX_NEXT */)
PROGRAM("tc/ingress", on_tcx_before, __sk_buff, 0 /* TCX_PASS: the end of the row */)
PROGRAM("tc/egress", on_tcx_egress, __sk_buff, -1)
PROGRAM("tc", on_tc, __sk_buff, -1 /* TC_ACT_UNSPEC */)
PROGRAM("socket", on_socket, __sk_buff, 0)

// Cgroups.
PROGRAM("cgroup_skb/ingress", on_cgroup_ingress, __sk_buff, 1)
PROGRAM("cgroup_skb/egress", on_cgroup_egress, __sk_buff, 1)
PROGRAM("cgroup/sock_create", on_sock_create, bpf_sock, 1)
PROGRAM("cgroup/sock_release", on_sock_release, bpf_sock, 1)
PROGRAM("cgroup/post_bind4", on_post_bind4, bpf_sock, 1)
PROGRAM("cgroup/post_bind6", on_post_bind6, bpf_sock, 1)
PROGRAM("cgroup/bind4", on_bind4, bpf_sock_addr, 1)
PROGRAM("cgroup/bind6", on_bind6, bpf_sock_addr, 1)
PROGRAM("cgroup/connect4", on_connect4, bpf_sock_addr, 1)
PROGRAM("cgroup/connect6", on_connect6, bpf_sock_addr, 1)
PROGRAM("cgroup/connect_unix", on_connect_unix, bpf_sock_addr, 1)
PROGRAM("cgroup/sendmsg4", on_sendmsg4, bpf_sock_addr, 1)
PROGRAM("cgroup/sendmsg6", on_sendmsg6, bpf_sock_addr, 1)
PROGRAM("cgroup/sendmsg_unix", on_sendmsg_unix, bpf_sock_addr, 1)
PROGRAM("cgroup/recvmsg4", on_recvmsg4, bpf_sock_addr, 1)
PROGRAM("cgroup/recvmsg6", on_recvmsg6, bpf_sock_addr, 1)
PROGRAM("cgroup/recvmsg_unix", on_recvmsg_unix, bpf_sock_addr, 1)
PROGRAM("cgroup/getpeername4", on_getpeername4, bpf_sock_addr, 1)
PROGRAM("cgroup/getpeername6", on_getpeername6, bpf_sock_addr, 1)
PROGRAM("cgroup/getpeername_unix", on_getpeername_unix, bpf_sock_addr, 1)
PROGRAM("cgroup/getsockname4", on_getsockname4, bpf_sock_addr, 1)
PROGRAM("cgroup/getsockname6", on_getsockname6, bpf_sock_addr, 1)
PROGRAM("cgroup/getsockname_unix", on_getsockname_unix, bpf_sock_addr, 1)
PROGRAM("sockops", on_sockops, bpf_sock_ops, 1)
PROGRAM("cgroup/dev", on_device, bpf_cgroup_dev_ctx, 1)
PROGRAM("cgroup/sysctl", on_sysctl, bpf_sysctl, 1)
PROGRAM("cgroup/getsockopt", on_getsockopt, bpf_sockopt, 1)
PROGRAM("cgroup/setsockopt", on_setsockopt, bpf_sockopt, 1)

// Network namespaces and netfilter.
PROGRAM("sk_lookup", on_sk_lookup, bpf_sk_lookup, SK_PASS)
PROGRAM("flow_dissector", on_flow_dissector, __sk_buff, 129 /* BPF_FLOW_DISSECTOR_CONTINUE */)
PROGRAM("netfilter", on_netfilter, bpf_nf_ctx, 1 /* NF_ACCEPT */)

// Groups and maps of sockets.
PROGRAM("sk_reuseport", on_reuseport, sk_reuseport_md, SK_PASS)
PROGRAM("sk_msg", on_sk_msg, sk_msg_md, SK_PASS)
PROGRAM("sk_skb/verdict", on_sk_skb_verdict, __sk_buff, SK_PASS)
PROGRAM("sk_skb/stream_verdict", on_stream_verdict, __sk_buff, SK_PASS)
PROGRAM("sk_skb/stream_parser", on_stream_parser, __sk_buff, ctx->len)

// Puts the sockets of new connections into the map.
SEC("?sockops")
int into_map(struct bpf_sock_ops *ctx)
{
	__u32 key = ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ? 0 : 1;

	switch (ctx->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		bpf_sock_map_update(ctx, &sockets, &key, BPF_ANY);
	}
	return 1;
}

// Routes.
PROGRAM("lwt_in", on_lwt_in, __sk_buff, 0 /* BPF_OK */)
PROGRAM("lwt_out", on_lwt_out, __sk_buff, 0)
PROGRAM("lwt_xmit", on_lwt_xmit, __sk_buff, 0)
PROGRAM("lwt_seg6local", on_seg6local, __sk_buff, 0)

char LICENSE[] SEC("license") = "Dual MIT/GPL";
