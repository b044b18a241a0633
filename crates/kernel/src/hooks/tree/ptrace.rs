//! ptrace(2), as far as supervision needs it: thin, typed wrappers.
//!
//! All of them must be called by the thread that seized the task.

use std::{io, mem};

/// What an extended wait status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It ended with this exit code.
    Exited(i32),
    /// It was killed by this signal; whether it left a core.
    Signaled(i32, bool),
    /// A signal is about to be delivered.
    Signal(i32),
    /// It stops with its group for a job-control signal.
    Group(i32),
    /// Entry or exit of a system call.
    Syscall,
    /// `PTRACE_EVENT_*`: fork, clone, exec, exit, seccomp.
    Event(i32),
    /// A stop of no meaning to us: a new task's first, an interrupt.
    Other,
}

impl Stop {
    /// Decodes what wait(2) gave for a seized task.
    pub fn decode(status: i32) -> Stop {
        if libc::WIFEXITED(status) {
            return Stop::Exited(libc::WEXITSTATUS(status));
        }
        if libc::WIFSIGNALED(status) {
            return Stop::Signaled(libc::WTERMSIG(status), libc::WCOREDUMP(status));
        }
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            0 if signal == libc::SIGTRAP | 0x80 => Stop::Syscall,
            0 => Stop::Signal(signal),
            libc::PTRACE_EVENT_STOP => match signal {
                libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => {
                    Stop::Group(signal)
                }
                _ => Stop::Other,
            },
            event => Stop::Event(event),
        }
    }
}

/// How a stopped task goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Until something that the filter or a signal stops.
    Run,
    /// Until the next entry or exit of a system call.
    ToSyscall,
    /// It stays in its group stop, and wakes with the group.
    Listen,
}

/// A system call as `PTRACE_GET_SYSCALL_INFO` tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyscallInfo {
    /// It is about to be entered (also by a seccomp stop).
    Entry {
        /// Its number.
        number: u64,
        /// Its arguments.
        args: [u64; 6],
        /// Where the instruction pointer is.
        ip: u64,
        /// Where the stack pointer is.
        sp: u64,
    },
    /// It returned.
    Exit {
        /// What the kernel returned; negated errno on failure.
        value: i64,
    },
    /// Not in a system call.
    None,
}

const OPTIONS: i32 = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEEXIT
    | libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_EXITKILL;

/// `PTRACE_SEIZE`: follow forks, clones, execs, exits and seccomp stops; the tree dies with us.
pub fn seize(tid: u32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, tid, 0, OPTIONS as usize).map(drop)
}

/// `PTRACE_INTERRUPT`: makes a running task stop.
pub fn interrupt(tid: u32) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, tid, 0, 0).map(drop)
}

/// Resumes a stopped task, with a signal to deliver or 0.
pub fn resume(tid: u32, how: Resume, signal: i32) -> io::Result<()> {
    let what = match how {
        Resume::Run => libc::PTRACE_CONT,
        Resume::ToSyscall => libc::PTRACE_SYSCALL,
        Resume::Listen => libc::PTRACE_LISTEN,
    };
    request(what, tid, 0, signal as usize).map(drop)
}

/// `PTRACE_GETEVENTMSG`: the new task of a fork, the former thread of an exec, the status of an
/// exit.
pub fn event_message(tid: u32) -> io::Result<u64> {
    let mut message: libc::c_ulong = 0;
    request(libc::PTRACE_GETEVENTMSG, tid, 0, &raw mut message as usize)?;
    #[allow(clippy::useless_conversion)] // c_ulong is u64 only on 64-bit targets
    Ok(message.into())
}

/// `PTRACE_GET_SYSCALL_INFO`: the system call in which a task stands.
pub fn syscall_info(tid: u32) -> io::Result<SyscallInfo> {
    // SAFETY: an all-zero ptrace_syscall_info is a valid one (op NONE).
    let mut info: libc::ptrace_syscall_info = unsafe { mem::zeroed() };
    let size = mem::size_of_val(&info);
    request(
        libc::PTRACE_GET_SYSCALL_INFO,
        tid,
        size,
        &raw mut info as usize,
    )?;
    Ok(match info.op {
        // SAFETY: `op` says which member of the union Linux filled.
        libc::PTRACE_SYSCALL_INFO_ENTRY => unsafe {
            SyscallInfo::Entry {
                number: info.u.entry.nr,
                args: info.u.entry.args,
                ip: info.instruction_pointer,
                sp: info.stack_pointer,
            }
        },
        // SAFETY: as above.
        libc::PTRACE_SYSCALL_INFO_SECCOMP => unsafe {
            SyscallInfo::Entry {
                number: info.u.seccomp.nr,
                args: info.u.seccomp.args,
                ip: info.instruction_pointer,
                sp: info.stack_pointer,
            }
        },
        // SAFETY: as above.
        libc::PTRACE_SYSCALL_INFO_EXIT => unsafe {
            SyscallInfo::Exit {
                value: info.u.exit.sval,
            }
        },
        _ => SyscallInfo::None,
    })
}

/// Waits for a task that this thread traces or forked; `None` when there is none left.
///
/// Children of the embedding application's other threads are left alone.
pub fn wait_any() -> io::Result<Option<(u32, Stop)>> {
    wait(-1)
}

/// As [`wait_any`], for one task only.
pub fn wait_for(tid: u32) -> io::Result<Option<(u32, Stop)>> {
    wait(tid as i32)
}

fn wait(which: i32) -> io::Result<Option<(u32, Stop)>> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the status.
        let got = unsafe { libc::waitpid(which, &mut status, libc::__WALL | libc::__WNOTHREAD) };
        if got > 0 {
            return Ok(Some((got as u32, Stop::decode(status))));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::ECHILD) => return Ok(None),
            _ => return Err(error),
        }
    }
}

fn request(what: libc::c_uint, tid: u32, address: usize, data: usize) -> io::Result<i64> {
    // SAFETY: every caller passes numbers, or pointers to locals of the size that the request
    // writes; Linux checks the task.
    let got = unsafe { libc::ptrace(what as _, tid as libc::pid_t, address, data) };
    match got {
        -1 => Err(io::Error::last_os_error()),
        n => Ok(n),
    }
}
