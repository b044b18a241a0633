//! Templates for x86-64: one pass over the lowered program.
//!
//! Registers: `r0` to `r10` live in `rax rdi rsi rdx rcx r8 rbx r13 r14 r15 rbp` (so that helper
//! calls need no moves), the run in `r12`, its budget in `r10`; `r9` and `r11` are the templates'
//! own. Frames are in the cage; return addresses and saved registers are on the machine's stack,
//! out of the program's reach.

mod alu;
mod cage;
mod class;
mod compile;
mod control;
pub(crate) mod convention;
mod fuse;
mod lazy;
mod magic;
mod memory;
pub(crate) mod x86;

use super::{JitError, Options, runtime, table};

pub use compile::compile;
#[cfg(test)]
pub use compile::compile_within;
