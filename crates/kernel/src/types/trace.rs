//! Records of tracepoints, as their programs get them.

use super::describe::kernel_structs;

kernel_structs! {
    /// How every record begins.
    struct TraceEntry = "trace_entry" {
        r#type: u16,
        flags: u8,
        preempt_count: u8,
        pid: i32,
    }

    /// `raw_syscalls:sys_enter`
    struct RawSysEnter = "trace_event_raw_sys_enter" {
        ent: TraceEntry,
        id: i64,
        args: [u64; 6],
        __data: [i8; 0],
    }

    /// `raw_syscalls:sys_exit`
    struct RawSysExit = "trace_event_raw_sys_exit" {
        ent: TraceEntry,
        id: i64,
        ret: i64,
        __data: [i8; 0],
    }

    /// `syscalls:sys_enter_*`; programs read six arguments at most.
    struct SyscallTraceEnter = "syscall_trace_enter" {
        ent: TraceEntry,
        nr: i32,
        args: [u64; 0],
    }

    /// `syscalls:sys_exit_*`
    struct SyscallTraceExit = "syscall_trace_exit" {
        ent: TraceEntry,
        nr: i32,
        ret: i64,
    }

    /// `sched:sched_process_fork`; the names lie behind it.
    struct SchedProcessFork = "trace_event_raw_sched_process_fork" {
        ent: TraceEntry,
        __data_loc_parent_comm: u32 [ "u32" ],
        parent_pid: i32 [ "pid_t" ],
        __data_loc_child_comm: u32 [ "u32" ],
        child_pid: i32 [ "pid_t" ],
        __data: [i8; 0],
    }

    /// `sched:sched_process_exec`; the file name lies behind it.
    struct SchedProcessExec = "trace_event_raw_sched_process_exec" {
        ent: TraceEntry,
        __data_loc_filename: u32 [ "u32" ],
        pid: i32 [ "pid_t" ],
        old_pid: i32 [ "pid_t" ],
        __data: [i8; 0],
    }

    /// `sched:sched_process_exit`
    struct SchedProcessExit = "trace_event_raw_sched_process_exit" {
        ent: TraceEntry,
        comm: [i8; 16],
        pid: i32 [ "pid_t" ],
        prio: i32,
        group_dead: u8,
        __data: [i8; 0],
    }

    /// `sched:sched_process_free`, `sched:sched_process_wait`: a name behind it.
    struct SchedProcessTemplate = "trace_event_raw_sched_process_template" {
        ent: TraceEntry,
        __data_loc_comm: u32 [ "u32" ],
        pid: i32 [ "pid_t" ],
        prio: i32,
        __data: [i8; 0],
    }

    /// Arguments of a raw tracepoint.
    struct RawTracepointArgs = "bpf_raw_tracepoint_args" { args: [u64; 0] }

    /// Registers of a task (x86-64).
    struct PtRegs = "pt_regs" {
        r15: u64, r14: u64, r13: u64, r12: u64, bp: u64, bx: u64,
        r11: u64, r10: u64, r9: u64, r8: u64, ax: u64, cx: u64, dx: u64, si: u64, di: u64,
        orig_ax: u64,
        ip: u64,
        cs: u64,
        flags: u64,
        sp: u64,
        ss: u64,
    }
}
