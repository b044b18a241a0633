// SPDX-License-Identifier: MIT OR Apache-2.0
// The program ends inside an RCU section
//
// Every `bpf_rcu_read_lock` needs its `bpf_rcu_read_unlock` on every path.

#include "gallery.h"

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

SEC("tc")
int rcu_not_unlocked(struct __sk_buff *ctx)
{
	bpf_rcu_read_lock();
	if (ctx->len > 100) {
#ifdef FIX
		bpf_rcu_read_unlock();
#endif
		return 2;
	}
	bpf_rcu_read_unlock();
	return 0;
}
