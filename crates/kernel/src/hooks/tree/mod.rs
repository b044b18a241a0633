//! A process tree that this process starts and supervises, without any privilege: its system
//! calls, its processes, and a say in what it does. Linux only.
//!
//! Calls that somebody wants are trapped by a seccomp filter; all others run at full speed. The
//! supervisor has two threads: one is told of calls by user notification and answers them, the
//! other traces the tree for what notifications cannot tell (returns, forks, execs, exits,
//! signals).

mod acting;
mod address;
mod dispatch;
mod filter;
mod hook_points;
mod launch;
mod memory;
mod names;
mod notify;
mod objects;
mod open;
mod perform;
mod process;
mod ptrace;
mod records;
mod request;
mod resolve;
mod signals;
mod supervisor;
pub mod syscall_table;
mod traced;
mod watcher;

pub(crate) use hook_points::offers;
pub use request::{AddressRequest, Change, Guards, Inode, Name, OpenRequest, Request};
pub use supervisor::supervise;
pub use traced::{Identity, Tasks, Traced};
pub use watcher::{Demand, Syscall, SyscallSet, Watcher};
