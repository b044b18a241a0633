//! Tracing: foreign memory, stacks, perf events, traced functions.

use super::signature::{Return::*, Traits, args::*, sig};
use super::table::helpers;
use crate::ProgType;

helpers! {
    BPF_FUNC_probe_read = 4, (4, 1), "Reads memory of kernel or user space.",
        sig(&[MEM_OUT, SIZE0, ANY], Integer).gpl();
    BPF_FUNC_perf_event_read = 22, (4, 3), "Reads a perf counter.",
        sig(&[MAP, ANY], Integer).gpl();
    BPF_FUNC_perf_event_output = 25, (4, 4), "Writes a sample to a perf event.",
        sig(&[CTX, MAP, ANY, MEM_RO, SIZE0], Integer).gpl();
    BPF_FUNC_get_stackid = 27, (4, 6), "Stores the stack in a map and gives its id.",
        sig(&[CTX, MAP, ANY], Integer).gpl(),
        for [ProgType::PerfEvent] => sig(&[CTX, MAP, ANY], Integer);
    BPF_FUNC_probe_write_user = 36, (4, 8), "Writes memory of the current process.",
        sig(&[ANY, MEM_RO, SIZE], Integer).gpl();
    BPF_FUNC_probe_read_str = 45, (4, 11), "Reads a string of kernel or user space.",
        sig(&[MEM_OUT, SIZE0, ANY], Integer).gpl();
    BPF_FUNC_perf_event_read_value = 55, (4, 15), "Reads a perf counter with its times.",
        sig(&[MAP, ANY, MEM_OUT, SIZE], Integer).gpl();
    BPF_FUNC_perf_prog_read_value = 56, (4, 15), "Reads the counter of the event that runs the program.",
        sig(&[CTX, MEM_OUT, SIZE], Integer).gpl();
    BPF_FUNC_override_return = 58, (4, 16), "Makes the traced function return a value without running.",
        sig(&[CTX, ANY], Integer).gpl();
    BPF_FUNC_get_stack = 67, (4, 18), "Copies the stack.",
        sig(&[CTX, MEM_OUT, SIZE0, ANY], Integer).gpl().with(Traits::SLEEPS_IF_SLEEPABLE);
    BPF_FUNC_skb_output = 111, (5, 5), "Writes a sample with bytes of a packet to a perf event.",
        sig(&[btf("sk_buff"), MAP, ANY, MEM_RO, SIZE0], Integer).gpl();
    BPF_FUNC_probe_read_user = 112, (5, 5), "Reads memory of the current process.",
        sig(&[MEM_OUT, SIZE0, ANY], Integer).gpl();
    BPF_FUNC_probe_read_kernel = 113, (5, 5), "Reads memory of the kernel.",
        sig(&[MEM_OUT, SIZE0, ANY], Integer).gpl();
    BPF_FUNC_probe_read_user_str = 114, (5, 5), "Reads a string of the current process.",
        sig(&[MEM_OUT, SIZE0, ANY], Integer).gpl();
    BPF_FUNC_probe_read_kernel_str = 115, (5, 5), "Reads a string of the kernel.",
        sig(&[MEM_OUT, SIZE0, ANY], Integer).gpl();
    BPF_FUNC_read_branch_records = 119, (5, 7), "Reads the branches that a perf event recorded.",
        sig(&[CTX, MEM_RW.or_null(), SIZE0, ANY], Integer).gpl();
    BPF_FUNC_xdp_output = 121, (5, 7), "Writes a sample with bytes of a frame to a perf event.",
        sig(&[btf("xdp_buff"), MAP, ANY, MEM_RO, SIZE0], Integer).gpl();
    BPF_FUNC_d_path = 147, (5, 10), "The path of a file as text.",
        sig(&[btf("path"), MEM_RW, SIZE0], Integer);
    BPF_FUNC_copy_from_user = 148, (5, 10), "Copies memory of the current process, waiting for pages.",
        sig(&[MEM_OUT, SIZE0, ANY], Integer).may_sleep();
    BPF_FUNC_get_func_ip = 173, (5, 15), "Address of the traced function.",
        sig(&[CTX], Integer).gpl();
    BPF_FUNC_get_attach_cookie = 174, (5, 15), "The number that was given when the program was attached.",
        sig(&[CTX], Integer);
    BPF_FUNC_get_branch_snapshot = 176, (5, 16), "The CPU's last branches.",
        sig(&[MEM_OUT, SIZE0], Integer).gpl().with(Traits::READS_MORE);
    BPF_FUNC_get_func_arg = 183, (5, 17), "An argument of the traced function.",
        sig(&[CTX, ANY, number_out(8)], Integer);
    BPF_FUNC_get_func_ret = 184, (5, 17), "What the traced function returned.",
        sig(&[CTX, number_out(8)], Integer);
    BPF_FUNC_get_func_arg_cnt = 185, (5, 17), "How many arguments the traced function has.",
        sig(&[CTX], Integer);
    BPF_FUNC_copy_from_user_task = 191, (5, 18), "Copies memory of another process, waiting for pages.",
        sig(&[MEM_OUT, SIZE0, ANY, TASK, ANY], Integer).gpl().may_sleep();
}
