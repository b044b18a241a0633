//! What all machine code for x86-64 has in common, the templates' and the optimiser's: where the run
//! is, the way in and out, and loads that may fail. Tail calls lead from either to the other.

use core::mem::offset_of;

use super::x86::{Alu, Cc, Code as X86, Gpr, Mem, W, at};
use crate::Run;

/// The run.
pub const RUN: Gpr = Gpr::R12;
/// What is left of the run's budget; in the run while the kernel's functions are called. Counting
/// in memory would make every loop wait for the store before.
pub const BUDGET: Gpr = Gpr::R10;
/// Given away at every call of a function outside.
pub const TEMP: Gpr = Gpr::R11;
/// Registers that the C calling convention keeps.
const KEPT: [Gpr; 6] = [Gpr::Rbp, Gpr::Rbx, Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15];

/// Bytes from the way in for a whole run to the one for any function.
pub const WAY: usize = 128;

/// A field of the run.
pub fn field(offset: usize) -> Mem {
    at(RUN, offset as i32)
}

/// The way in for a whole run: `fn(run, context, frame) -> r0`, up to the call of the main program.
pub fn enter_main(x: &mut X86) {
    for register in KEPT {
        x.push(register);
    }
    x.mov(W::Q, RUN, Gpr::Rdi);
    x.mov(W::Q, Gpr::Rdi, Gpr::Rsi);
    x.mov(W::Q, Gpr::Rbp, Gpr::Rdx);
    remember_exit(x);
}

/// The way in for any function: `fn(run, frame, args, function) -> r0`, up to the call of what is in
/// `rax` then.
pub fn enter(x: &mut X86) {
    for register in KEPT {
        x.push(register);
    }
    x.mov(W::Q, RUN, Gpr::Rdi);
    x.mov(W::Q, Gpr::Rbp, Gpr::Rsi);
    x.mov(W::Q, Gpr::Rax, Gpr::Rcx);
    x.load(8, Gpr::Rdi, at(Gpr::Rdx, 0));
    x.load(8, Gpr::Rsi, at(Gpr::Rdx, 8));
    x.load(8, Gpr::Rcx, at(Gpr::Rdx, 24));
    x.load(8, Gpr::R8, at(Gpr::Rdx, 32));
    x.load(8, Gpr::Rdx, at(Gpr::Rdx, 16));
    remember_exit(x);
}

/// Remembers where a stopped run is left; a run within a run (a callback) has its own place, and
/// the runtime restores the one before.
fn remember_exit(x: &mut X86) {
    // Six registers and the return address: eight more to be aligned.
    x.alu_imm(W::Q, Alu::Sub, Gpr::Rsp, 8);
    x.store(8, field(offset_of!(Run, exit)), Gpr::Rsp);
    // A tail call may lead to code that counts though this does not.
    take_budget(x);
}

/// The way out of either.
fn leave(x: &mut X86) {
    x.alu_imm(W::Q, Alu::Add, Gpr::Rsp, 8);
    for register in KEPT.into_iter().rev() {
        x.pop(register);
    }
    x.ret();
}

/// The way out of a run that may be counted: what is left of the budget goes back to it.
pub fn way_out(x: &mut X86, counted: bool) {
    if counted {
        give_budget(x);
    }
    leave(x);
}

/// Leaves a stopped run: where that begins.
pub fn leave_stopped(x: &mut X86) -> usize {
    let here = x.here();
    x.load(8, Gpr::Rsp, field(offset_of!(Run, exit)));
    leave(x);
    here
}

/// Writes the budget to the run: before what is not the program's code.
pub fn give_budget(x: &mut X86) {
    x.store(8, field(offset_of!(Run, fuel)), BUDGET);
}

/// Reads the budget back: a helper's callbacks have used it too.
pub fn take_budget(x: &mut X86) {
    x.load(8, BUDGET, field(offset_of!(Run, fuel)));
}

/// Leaves when the run was stopped; false when the way there is too long.
#[must_use]
pub fn leave_if_stopped(x: &mut X86, leave: usize) -> bool {
    x.alu_mem_imm(W::D, Alu::Cmp, field(offset_of!(Run, stopped)), 0);
    let fixup = x.jcc(Cc::Ne, false);
    x.fix(fixup, leave)
}

/// A load that gives 0 outside of the cage, with two registers that are free.
pub fn probe(x: &mut X86, bytes: u8, signed: bool, dst: Gpr, place: Mem, [one, two]: [Gpr; 2]) {
    let (base, size) = (offset_of!(Run, cage_base), offset_of!(Run, cage_size));
    x.lea(W::Q, one, place);
    x.mov(W::Q, two, one);
    x.alu_load(W::Q, Alu::Sub, two, field(base));
    x.alu_imm(W::Q, Alu::Add, two, i32::from(bytes));
    x.alu_load(W::Q, Alu::Cmp, two, field(size));
    let outside = x.jcc(Cc::A, true);
    // An address just below the cage wraps around to a small number.
    x.alu_imm(W::Q, Alu::Cmp, two, i32::from(bytes));
    let wrapped = x.jcc(Cc::B, true);
    if signed {
        x.load_signed(bytes, dst, at(one, 0));
    } else {
        x.load(bytes, dst, at(one, 0));
    }
    let done = x.jmp(true);
    x.land(outside);
    x.land(wrapped);
    x.mov_imm(dst, 0);
    x.land(done);
}
