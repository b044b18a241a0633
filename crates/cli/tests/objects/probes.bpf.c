// SPDX-License-Identifier: MIT OR Apache-2.0
// Probes in the program `panal-probed`, each of which counts how often it ran under its own name;
// and a program that hands back what user space wrote into a user ring buffer.
//
//   clang-22 -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 \
//       -idirafter /usr/include/$(uname -m)-linux-gnu -fdebug-compilation-dir=. \
//       -c crates/cli/tests/objects/probes.bpf.c -o crates/cli/tests/objects/probes.bpf.o
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, char[24]);
	__type(value, __u64);
} runs SEC(".maps") __attribute__((btf_decl_tag("print")));

static __noinline int count(char *key)
{
	__u64 one = 1, *value = bpf_map_lookup_elem(&runs, key);

	if (value)
		__sync_fetch_and_add(value, 1);
	else
		bpf_map_update_elem(&runs, key, &one, BPF_ANY);
	return 0;
}

#define PROGRAM(section, name)            \
	SEC("?" section)                  \
	int name(struct pt_regs *ctx)     \
	{                                 \
		char key[24] = #name;     \
		count(key);               \
		return 0;                 \
	}

PROGRAM("uprobe/panal-probed:panal_probed", on_uprobe)
PROGRAM("uretprobe/panal-probed:panal_probed", on_uretprobe)
PROGRAM("uprobe.s/panal-probed:panal_probed", on_sleepable)
PROGRAM("uretprobe.s/panal-probed:panal_probed", on_sleepable_return)
PROGRAM("uprobe.multi/panal-probed:panal_probed*", on_multi)
PROGRAM("uretprobe.multi/panal-probed:panal_probed*", on_multi_return)
PROGRAM("uprobe.session/panal-probed:panal_probed", on_session)
PROGRAM("usdt/panal-probed:panal:called", on_usdt)
PROGRAM("usdt/panal-probed:panal:missing", on_missing)
PROGRAM("uprobe/panal-probed:no_such_function", on_no_function)

// One order for each record.
struct order {
	__u32 number;
	__u16 port;
	char name[10];
};

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} orders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
	__type(value, struct order);
} taken SEC(".maps");

static long take(struct bpf_dynptr *record, void *context)
{
	struct order order = {};

	// A shorter record is not taken.
	if (bpf_dynptr_read(&order, sizeof(order), record, 0, 0) == 0)
		bpf_ringbuf_output(&taken, &order, sizeof(order), 0);
	return 0;
}

SEC("?tracepoint/syscalls/sys_enter_getpriority")
int on_orders(void *ctx)
{
	bpf_user_ringbuf_drain(&orders, take, 0, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
