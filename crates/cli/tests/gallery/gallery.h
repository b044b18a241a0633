/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the programs of the gallery share. */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#ifndef LICENCE
#define LICENCE "GPL"
#endif

char LICENSE[] SEC("license") = LICENCE;

struct table {
	__u64 slots[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct table);
} tables SEC(".maps");

struct event {
	__u32 pid;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

static const __u32 zero;

/* The one element of `tables`, or NULL. */
#define table() ((struct table *)bpf_map_lookup_elem(&tables, &zero))
