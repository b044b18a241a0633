//! Panal's kernel: owns programs, maps and links; helpers, kfuncs, program types, hooks.
//!
//! [`PanalKernel`] implements [`panal_uapi::kernel::Kernel`] in user space. Hooks make events: they
//! look up what hangs at a [`HookPoint`] and run it.

mod arena;
mod attach;
mod bpf;
mod budget;
mod caller_ids;
mod cpu;
mod engine;
mod fds;
mod held;
mod helpers;
mod host;
mod ids;
mod kernel;
mod kfuncs;
mod live;
mod maps;
mod objects;
mod packet;
mod pins;
mod program_types;
mod skb_room;
mod socket_mirror;
mod tag;
mod ticks;
mod timers;
mod trace_log;

pub mod hooks;
pub mod memory;
pub mod task;
pub mod types;

pub use attach::{Direction, HookPoint, Moment};
pub use budget::{Budget, DEFAULT_BUDGET, Stopper};
pub use cpu::{Context, Event, Ran, Session};
pub use engine::Engine;
pub use helpers::is_implemented;
pub use kernel::{Builder, PanalKernel, VERSION, own_profile};
pub use maps::Map;
pub use objects::{Attachment, BtfObject, Link, Program};
pub use packet::{Redirect, SentCopy};
pub use panal_vm::Stop;
pub use trace_log::TraceLine;
