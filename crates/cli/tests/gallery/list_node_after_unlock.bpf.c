// SPDX-License-Identifier: MIT OR Apache-2.0
// An element is changed after it was put into a list
//
// Once the lock is given back, others may take it out and free it.
//
// profile: host

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct bpf_spin_lock {
	__u32 val;
};

struct bpf_list_head {
	__u64 opaque[2];
};

struct bpf_list_node {
	__u64 opaque[3];
};

extern void *bpf_obj_new_impl(__u64 type, void *meta) __ksym;
extern int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node,
				   void *meta, __u64 off) __ksym;

struct element {
	__u64 number;
	struct bpf_list_node node;
};

#define shared SEC(".data.shared") __hidden __attribute__((aligned(8)))

shared struct bpf_spin_lock lock;
shared struct bpf_list_head head __attribute__((btf_decl_tag("contains:element:node")));

SEC("tc")
int list_node_after_unlock(struct __sk_buff *skb)
{
	struct element *e = bpf_obj_new_impl(bpf_core_type_id_local(struct element), 0);

	if (!e)
		return 0;
	bpf_spin_lock(&lock);
	bpf_list_push_back_impl(&head, &e->node, 0, 0);
#ifdef FIX
	e->number = skb->mark;
	bpf_spin_unlock(&lock);
#else
	bpf_spin_unlock(&lock);
	e->number = skb->mark;
#endif
	return 0;
}
