// SPDX-License-Identifier: MIT OR Apache-2.0
// A field of a kernel object is written
//
// Kernel objects are read-only for programs.

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

SEC("lsm/file_open")
int BPF_PROG(kernel_object_written, struct file *file)
{
#ifndef FIX
	file->f_flags = 0;
#endif
	return file->f_flags == 1 ? -1 : 0;
}
