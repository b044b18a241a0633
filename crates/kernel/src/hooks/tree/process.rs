//! The process tree: follows forks, execs, exits and signals by ptrace, and returns of the system
//! calls that somebody wants to hear of.
//!
//! One thread is the tracer of the whole tree. A call whose return value is wanted stops twice (the
//! filter's `SECCOMP_RET_TRACE`, then its exit); every other call of the tree does not stop here.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
};

use crate::hooks::ExitStatus;

use super::{
    filter::{Action, Actions},
    ptrace::{self, Resume, Stop, SyscallInfo},
    traced::{Tasks, roots_changed},
    watcher::{Demand, Syscall, Watcher},
};

/// System calls after which what is known of a task must be read anew.
const NEW_CREDENTIALS: [libc::c_long; 13] = [
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_setsid,
];

/// System calls after which a task's paths may mean something else.
const NEW_ROOT: [libc::c_long; 4] = [
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_unshare,
    libc::SYS_setns,
];

/// The filter's actions for what is wanted.
///
/// A wanted return value costs a trace stop, unless the supervisor makes the call itself and so
/// knows it (a guarded one); an entry alone costs a notification, which is half as dear.
pub(super) fn actions(demand: &Demand) -> Actions {
    let mut actions = Actions::default();
    for number in NEW_CREDENTIALS.into_iter().chain(NEW_ROOT) {
        actions.set(number as u32, Action::Trace);
    }
    actions.set(
        libc::SYS_prctl as u32,
        Action::TraceIfFirst(libc::PR_SET_NAME as u32),
    );
    demand.enter.iter().for_each(|number| {
        // What is traced for our own sake tells its entry there, too.
        if actions.get(number) != Action::Trace {
            actions.set(number, Action::Notify);
        }
    });
    demand
        .exit
        .iter()
        .for_each(|number| actions.set(number, Action::Trace));
    demand
        .guards
        .calls()
        .iter()
        .for_each(|number| actions.set(number, Action::Notify));
    for number in demand.guards.bypasses().iter() {
        actions.set(number, Action::Fail(libc::EPERM as u16));
    }
    actions
}

/// The tracer of one tree.
pub(super) struct Tracer {
    watcher: Arc<dyn Watcher>,
    demand: Arc<Demand>,
    tasks: Arc<Tasks>,
    /// Calls entered whose exit is awaited.
    in_call: HashMap<u32, Syscall>,
    /// Tasks that have stopped here before, as every new one does before it runs.
    seen: HashSet<u32>,
    main: u32,
    status: Option<ExitStatus>,
}

impl Tracer {
    pub fn new(
        watcher: Arc<dyn Watcher>,
        demand: Arc<Demand>,
        tasks: Arc<Tasks>,
        main: u32,
    ) -> Self {
        Tracer {
            watcher,
            demand,
            tasks,
            in_call: HashMap::new(),
            seen: HashSet::new(),
            main,
            status: None,
        }
    }

    /// Follows the tree until its last task has ended.
    pub fn run(mut self) -> io::Result<ExitStatus> {
        self.tasks.get(self.main);
        while let Some((tid, stop)) = ptrace::wait_any()? {
            self.stopped(tid, stop);
        }
        self.status
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ECHILD))
    }

    fn stopped(&mut self, tid: u32, stop: Stop) {
        if self.seen.insert(tid) {
            // Its id may have been another's, about whom somebody asked when it was gone already.
            self.tasks.remove(tid);
        }
        let outcome = match stop {
            Stop::Exited(code) => return self.gone(tid, ExitStatus::Code(code)),
            Stop::Signaled(signal, _) => return self.gone(tid, ExitStatus::Signal(signal)),
            Stop::Signal(signal) => ptrace::resume(tid, Resume::Run, signal),
            Stop::Group(_) => ptrace::resume(tid, Resume::Listen, 0),
            Stop::Syscall => self.returned(tid),
            Stop::Event(libc::PTRACE_EVENT_SECCOMP) => self.entered(tid),
            Stop::Event(event) => {
                self.happened(tid, event);
                let how = self.onwards(tid);
                ptrace::resume(tid, how, 0)
            }
            Stop::Other => {
                let how = self.onwards(tid);
                ptrace::resume(tid, how, 0)
            }
        };
        // A task can be killed at any time: its end is told by the next wait.
        drop(outcome);
    }

    /// In the middle of a call whose exit is awaited, on to the exit.
    fn onwards(&self, tid: u32) -> Resume {
        if self.in_call.contains_key(&tid) {
            Resume::ToSyscall
        } else {
            Resume::Run
        }
    }

    /// A trapped system call is entered.
    fn entered(&mut self, tid: u32) -> io::Result<()> {
        let SyscallInfo::Entry {
            number,
            args,
            ip,
            sp,
        } = ptrace::syscall_info(tid)?
        else {
            return ptrace::resume(tid, Resume::Run, 0);
        };
        let call = Syscall {
            number: number as u32,
            args,
            ip,
            sp,
        };
        if self.demand.enter.contains(call.number) {
            self.watcher.sys_enter(&self.tasks.get(tid), &call);
        }
        self.in_call.insert(tid, call);
        ptrace::resume(tid, Resume::ToSyscall, 0)
    }

    /// A trapped system call returned.
    fn returned(&mut self, tid: u32) -> io::Result<()> {
        let info = ptrace::syscall_info(tid)?;
        if let (SyscallInfo::Exit { value }, Some(call)) = (info, self.in_call.remove(&tid)) {
            self.changed(tid, &call);
            if self.demand.exit.contains(call.number) {
                self.watcher.sys_exit(&self.tasks.get(tid), &call, value);
            }
        }
        ptrace::resume(tid, Resume::Run, 0)
    }

    /// Reads anew what this call may have changed of the task.
    fn changed(&self, tid: u32, call: &Syscall) {
        let number = libc::c_long::from(call.number);
        if NEW_ROOT.contains(&number) {
            roots_changed();
        }
        if number == libc::SYS_prctl {
            if call.args[0] as i32 == libc::PR_SET_NAME {
                self.tasks.get(tid).refresh();
            }
        } else if NEW_CREDENTIALS.contains(&number) {
            self.tasks.get(tid).refresh();
        }
    }

    fn happened(&mut self, tid: u32, event: i32) {
        let Ok(message) = ptrace::event_message(tid) else {
            return;
        };
        match event {
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                let child = self.tasks.get(message as u32);
                self.watcher.forked(&self.tasks.get(tid), &child);
            }
            libc::PTRACE_EVENT_EXEC => self.executed(tid, message as u32),
            libc::PTRACE_EVENT_EXIT => {
                let task = self.tasks.get(tid);
                let last = self.tasks.leave(&task, message as i32);
                self.watcher.exited(&task, message as i32, last);
            }
            _ => {}
        }
    }

    /// A task executes: all other threads of its process are gone, and it has the process's id.
    fn executed(&mut self, tid: u32, former: u32) {
        if former != tid {
            if let Some(call) = self.in_call.remove(&former) {
                self.in_call.insert(tid, call);
            }
            self.tasks.remove(former);
            self.seen.remove(&former);
        }
        // The leader may have "exited" before: it lives again.
        self.tasks.remove(tid);
        let task = self.tasks.get(tid);
        self.watcher.executed(&task, former);
    }

    /// A task has been reaped.
    fn gone(&mut self, tid: u32, status: ExitStatus) {
        self.in_call.remove(&tid);
        self.tasks.remove(tid);
        self.seen.remove(&tid);
        if tid == self.main {
            self.status = Some(status);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_stops() {
        let mut demand = Demand::default();
        demand.enter.insert(libc::SYS_openat as u32);
        demand.enter.insert(libc::SYS_read as u32);
        demand.exit.insert(libc::SYS_openat as u32);
        let actions = actions(&demand);
        assert_eq!(actions.get(libc::SYS_openat as u32), Action::Trace);
        assert_eq!(actions.get(libc::SYS_read as u32), Action::Notify);
        assert_eq!(actions.get(libc::SYS_write as u32), Action::Allow);
        assert_eq!(
            actions.get(libc::SYS_prctl as u32),
            Action::TraceIfFirst(15)
        );
    }
}
