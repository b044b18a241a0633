// SPDX-License-Identifier: MIT OR Apache-2.0
// Two ways of TCP congestion control that count what they are asked, one registered by its map and one
// by a link; and a program to run. Built as events.bpf.c.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sock;
struct rate_sample;
struct tcp_sock {
	__u32 snd_cwnd;
} __attribute__((preserve_access_index));

// Fewer members than the kernel has, and in another order.
struct tcp_congestion_ops___here {
	char name[16];
	__u32 (*ssthresh)(struct sock *sk);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	void (*init)(struct sock *sk);
	void (*release)(struct sock *sk);
	__u32 not_in_any_kernel;
};

enum call { INIT, CONG_AVOID, RELEASE, CALLS };

// Calls, by `enum call`.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CALLS);
	__type(key, __u32);
	__type(value, __u64);
} calls SEC(".maps") __attribute__((btf_decl_tag("print")));

static void count(__u32 call)
{
	__u64 *counter = bpf_map_lookup_elem(&calls, &call);
	if (counter)
		__sync_fetch_and_add(counter, 1);
}

SEC("struct_ops") int on_init(__u64 *ctx)
{
	count(INIT);
	return 0;
}

SEC("struct_ops") int on_cong_avoid(__u64 *ctx)
{
	count(CONG_AVOID);
	return 0;
}

SEC("struct_ops") int on_release(__u64 *ctx)
{
	count(RELEASE);
	return 0;
}

SEC("struct_ops") int on_ssthresh(__u64 *ctx)
{
	return 2;
}

SEC("struct_ops") int on_undo_cwnd(__u64 *ctx)
{
	struct tcp_sock *tp = (void *)ctx[0];
	return tp->snd_cwnd;
}

SEC(".struct_ops") struct tcp_congestion_ops___here by_map = {
	.ssthresh = (void *)on_ssthresh,
	.cong_avoid = (void *)on_cong_avoid,
	.undo_cwnd = (void *)on_undo_cwnd,
	.init = (void *)on_init,
	.release = (void *)on_release,
	.name = "panal_map",
};

SEC(".struct_ops.link") struct tcp_congestion_ops___here by_link = {
	.ssthresh = (void *)on_ssthresh,
	.cong_avoid = (void *)on_cong_avoid,
	.undo_cwnd = (void *)on_undo_cwnd,
	.init = (void *)on_init,
	.release = (void *)on_release,
	.name = "panal_link",
};

char LICENSE[] SEC("license") = "GPL";
