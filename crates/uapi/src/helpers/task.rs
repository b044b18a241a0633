//! The current task and other tasks.

use super::signature::{Return::*, Traits, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_get_current_pid_tgid = 14, (4, 2), "Process id (high half) and thread id (low half).",
        sig(&[], Integer);
    BPF_FUNC_get_current_uid_gid = 15, (4, 2), "Group id (high half) and user id (low half).",
        sig(&[], Integer);
    BPF_FUNC_get_current_comm = 16, (4, 2), "Name of the current task.",
        sig(&[MEM_OUT, SIZE], Integer);
    BPF_FUNC_get_current_task = 35, (4, 8), "Address of the current task_struct, as a number.",
        sig(&[], Integer).gpl();
    BPF_FUNC_send_signal = 109, (5, 3), "Sends a signal to the current process.",
        sig(&[ANY], Integer);
    BPF_FUNC_send_signal_thread = 117, (5, 6), "Sends a signal to the current thread.",
        sig(&[ANY], Integer);
    BPF_FUNC_get_ns_current_pid_tgid = 120, (5, 7), "Process and thread id as a pid namespace sees them.",
        sig(&[ANY, ANY, MEM_OUT, SIZE], Integer);
    BPF_FUNC_get_task_stack = 141, (5, 9), "A task's kernel or user stack.",
        sig(&[TASK, MEM_OUT, SIZE0, ANY], Integer).with(Traits::SLEEPS_IF_SLEEPABLE);
    BPF_FUNC_get_current_task_btf = 158, (5, 11), "The current task_struct.",
        sig(&[], TrustedBtf("task_struct")).gpl();
    BPF_FUNC_task_pt_regs = 175, (5, 15), "Registers that a task saved when it entered the kernel.",
        sig(&[TASK], Btf("pt_regs")).gpl();
    BPF_FUNC_find_vma = 180, (5, 17), "Calls a function with the mapping that holds an address.",
        sig(&[TASK, ANY, FUNC, STACK_OR_NULL, ANY], Integer).with(Traits::SYNC_CALLBACK);
}
