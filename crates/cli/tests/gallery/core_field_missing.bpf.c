// SPDX-License-Identifier: MIT OR Apache-2.0
// A field that the kernel does not have
//
// CO-RE finds fields by name in the kernel that is meant. Code that uses a missing one is refused unless it asks first.

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct file___later {
	unsigned int f_flags;
	unsigned int f_invented;
} __attribute__((preserve_access_index));

SEC("lsm/file_open")
int BPF_PROG(core_field_missing, struct file *file)
{
	struct file___later *later = (void *)file;

#ifdef FIX
	if (bpf_core_field_exists(later->f_invented))
#endif
		return later->f_invented == 1 ? -1 : 0;
	return 0;
}
