//! What a supervisor tells of its tree, and to whom.

use std::sync::Arc;

use panal_uapi::Errno;

use super::{
    request::{Guards, Request},
    syscall_table::LIMIT,
    traced::Traced,
};

/// A system call that a task makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syscall {
    /// Its number.
    pub number: u32,
    /// Its arguments.
    pub args: [u64; 6],
    /// Instruction pointer at the call.
    pub ip: u64,
    /// Stack pointer at the call; 0 where it is not known.
    pub sp: u64,
}

/// A set of system calls by number.
#[derive(Clone, PartialEq, Eq)]
pub struct SyscallSet([bool; LIMIT as usize]);

impl Default for SyscallSet {
    fn default() -> Self {
        SyscallSet([false; LIMIT as usize])
    }
}

impl SyscallSet {
    /// Every number.
    pub fn all() -> Self {
        SyscallSet([true; LIMIT as usize])
    }

    /// Adds a number; those past the table's limit are ignored.
    pub fn insert(&mut self, number: u32) {
        if let Some(slot) = self.0.get_mut(number as usize) {
            *slot = true;
        }
    }

    /// Whether the number is in the set.
    pub fn contains(&self, number: u32) -> bool {
        self.0.get(number as usize).copied().unwrap_or(false)
    }

    /// Its numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0
            .iter()
            .enumerate()
            .filter(|(_, in_it)| **in_it)
            .map(|(number, _)| number as u32)
    }
}

impl FromIterator<u32> for SyscallSet {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut set = SyscallSet::default();
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }
}

impl std::fmt::Debug for SyscallSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What a watcher wants to hear; all else runs at full speed.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    /// System calls whose entry is told.
    pub enter: SyscallSet,
    /// System calls whose return value is told.
    pub exit: SyscallSet,
    /// What is asked before it happens.
    pub guards: Guards,
}

/// Who hears of a tree's events. Called from two threads of the supervisor, and for blocking
/// requests from further ones; the task stands still meanwhile.
pub trait Watcher: Send + Sync {
    /// A system call is entered.
    fn sys_enter(&self, task: &Traced, call: &Syscall);
    /// A system call returned: the value, or a negated errno.
    fn sys_exit(&self, task: &Traced, call: &Syscall, value: i64);
    /// A task made another.
    fn forked(&self, parent: &Traced, child: &Arc<Traced>);
    /// A task runs another program now; `former` is the thread id that called execve.
    fn executed(&self, task: &Traced, former: u32);
    /// A task is about to end; `status` as wait(2) tells it, `last` when it is the last thread of
    /// its process.
    fn exited(&self, task: &Traced, status: i32, last: bool);
    /// May this be done?
    fn decide(&self, task: &Traced, request: &mut Request<'_>) -> Result<(), Errno>;
}
