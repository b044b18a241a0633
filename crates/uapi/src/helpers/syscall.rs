//! For programs that make system calls: loaders written in BPF.

use super::signature::{Return::*, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_sys_bpf = 166, (5, 14), "Makes a bpf(2) system call.",
        sig(&[ANY, MEM_RO, SIZE], Integer).may_sleep();
    BPF_FUNC_btf_find_by_name_kind = 167, (5, 14), "Finds a type of the kernel.",
        sig(&[MEM_RO, SIZE, ANY, ANY], Integer).may_sleep();
    BPF_FUNC_sys_close = 168, (5, 14), "Closes a descriptor.",
        sig(&[ANY], Integer).may_sleep();
    BPF_FUNC_kallsyms_lookup_name = 179, (5, 16), "The address of a kernel symbol.",
        sig(&[MEM_RO, SIZE0, ANY, number_out(8)], Integer);
}
