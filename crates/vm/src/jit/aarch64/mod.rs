//! Templates for aarch64 (Armv8.0, little-endian): one pass over the lowered program. They compile
//! on every host, so that every host can test them.
//!
//! Registers: `r0` lives in `x7`, `r1` to `r5` in `x0` to `x4` (so that helper calls need no moves),
//! `r6` to `r9` in `x19` to `x22`, `r10` in `x25`; the run in `x23`, its budget in `x24`, the cage's
//! first address in `x26`. `x6`, `x9` to `x12`, `x16` and `x17` are the templates' own; `x18` is the
//! platform's, `x29` the caller's. Frames are in the cage; return addresses and saved registers are
//! on the machine's stack, out of the program's reach.
//!
//! Atomics are loops of exclusive loads and stores with a barrier behind, as Linux's are on such
//! CPUs: they need nothing of Armv8.1, so that nothing must be asked of the CPU.

mod a64;
mod alu;
mod cage;
mod compile;
mod control;
mod memory;
#[cfg(test)]
mod tests;

use core::mem::offset_of;

use super::{runtime, table};
use crate::Run;

pub use compile::compile;
#[cfg(test)]
pub use compile::compile_within;

/// Addresses of the functions that machine code calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    /// `fn(run, slot)`: more budget, or the run is stopped.
    pub refill: u64,
    /// `fn(ctx, map, index, run, find, frame) -> code`: where a tail call leads.
    pub tail_target: u64,
    /// `fn(run, address, slot, size, write)`: stops because of an access outside.
    pub stop_fault: u64,
    /// The same, not aligned.
    pub stop_misaligned: u64,
    /// `fn(run, slot)`: stops because there is no stack left.
    pub stop_stack: u64,
    /// `fn(run, slot)`: stops because of code that no path reaches.
    pub stop_unreachable: u64,
}

impl Gates {
    /// This process's own.
    pub fn here() -> Gates {
        type TailTarget = unsafe extern "C" fn(u64, u64, u64, *mut Run, u64, u64) -> *const u8;
        type WithSlot = unsafe extern "C" fn(*mut Run, u32);
        let with_slot = |f: WithSlot| f as usize as u64;
        let stopper = |f: runtime::Stopper| f as usize as u64;
        Gates {
            refill: with_slot(runtime::refill),
            tail_target: runtime::tail_target as TailTarget as usize as u64,
            stop_fault: stopper(runtime::stop_fault),
            stop_misaligned: stopper(runtime::stop_misaligned),
            stop_stack: with_slot(runtime::stop_stack),
            stop_unreachable: with_slot(runtime::stop_unreachable),
        }
    }
}

/// Where machine code expects a run's fields: for those who run it elsewhere than in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the run's
pub struct RunLayout {
    pub size: usize,
    pub fuel: usize,
    pub tail_calls: usize,
    pub cage_base: usize,
    pub cage_size: usize,
    pub stack: usize,
    pub stack_top: usize,
    pub stopped: usize,
    pub exit: usize,
    pub tail_context: usize,
    pub machine: usize,
}

impl RunLayout {
    /// As it is in this process.
    pub const HERE: RunLayout = RunLayout {
        size: size_of::<Run>(),
        fuel: offset_of!(Run, fuel),
        tail_calls: offset_of!(Run, tail_calls),
        cage_base: offset_of!(Run, cage_base),
        cage_size: offset_of!(Run, cage_size),
        stack: offset_of!(Run, stack),
        stack_top: offset_of!(Run, stack_top),
        stopped: offset_of!(Run, stopped),
        exit: offset_of!(Run, exit),
        tail_context: offset_of!(Run, tail_context),
        machine: offset_of!(Run, machine),
    };

    /// All of them by name.
    pub fn named(&self) -> [(&'static str, usize); 11] {
        [
            ("SIZE", self.size),
            ("FUEL", self.fuel),
            ("TAIL_CALLS", self.tail_calls),
            ("CAGE_BASE", self.cage_base),
            ("CAGE_SIZE", self.cage_size),
            ("STACK", self.stack),
            ("STACK_TOP", self.stack_top),
            ("STOPPED", self.stopped),
            ("EXIT", self.exit),
            ("TAIL_CONTEXT", self.tail_context),
            ("MACHINE", self.machine),
        ]
    }
}
