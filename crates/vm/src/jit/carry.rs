//! What a loop hands from round to round, and how long that takes to compute.
//!
//! A conditional move makes its result wait for what it replaces. On a slow chain from round to round
//! that is what a loop takes its time for; a branch that is foreseen ends the chain where the number
//! comes in, and the rounds before and behind it overlap. Everywhere else a number that is chosen is
//! better than a branch: nothing can be mispredicted.

use super::{
    live::{Set, effects, only},
    plan::Plan,
};
use crate::op::{Code, Op};

/// Operations of the largest loop that is looked at.
const ROOM: usize = 128;
/// Cycles of a multiplication, a division and a load, on any CPU of these years.
pub const MULTIPLY: u8 = 3;
pub const DIVIDE: u8 = 12;
pub const LOAD: u8 = 5;
/// Cycles of a slow chain.
pub const SLOW: u8 = MULTIPLY;
/// Registers, and the lowering's own.
const REGISTERS: usize = 16;

/// Cycles from an operation's inputs to its result.
fn latency(op: &Op) -> u8 {
    use Code::*;
    match op.code {
        Mov64X | Mov32X => 0,
        Mul64K | Mul64X | Mul32K | Mul32X => MULTIPLY,
        code if (Div64K..=SMod32X).contains(&code) => DIVIDE,
        code if (Ld8..=LdFrameS32).contains(&code) => LOAD,
        _ => 1,
    }
}

/// Whether an operation is made in some rounds only: a branch goes over it.
fn is_chosen(ops: &[Op], index: usize) -> bool {
    index
        .checked_sub(1)
        .is_some_and(|before| ops[before].code.is_branch())
}

/// Whether a number that the operations at `at` may put into a register, a branch and what it goes
/// over, ends a slow chain of the loop around them.
pub fn ends_slow_chain(ops: &[Op], plan: &Plan, at: usize, register: u8) -> bool {
    let Some((head, last)) = plan.loop_around(at) else {
        return false;
    };
    if last - head > ROOM {
        return false;
    }
    // Registers that have something of the number at the end of the round.
    let mut marked = only(register);
    for op in ops.get(at + 2..=last).unwrap_or_default() {
        let effects = effects(op);
        match effects.reads & marked != 0 && !op.code.is_call() {
            true => marked |= effects.writes,
            false => marked &= !effects.writes,
        }
    }
    let mut carried: Set = marked & plan.live.before(head);
    while carried != 0 {
        let from = carried.trailing_zeros() as u8;
        if way(ops, head, at, from, register).is_some_and(|cycles| cycles >= SLOW) {
            return true;
        }
        carried &= carried - 1;
    }
    false
}

/// Cycles from what a register has at `head` to what another one has at `at`; `None` where that has
/// nothing to do with it. Branches in between are taken for not taken.
fn way(ops: &[Op], head: usize, at: usize, from: u8, to: u8) -> Option<u8> {
    let mut cycles: [Option<u8>; REGISTERS] = [None; REGISTERS];
    cycles[usize::from(from)] = Some(0);
    for index in head..at {
        let op = &ops[index];
        let effects = effects(op);
        let registers = |set: Set| (0..REGISTERS).filter(move |r| set >> r & 1 != 0);
        let inputs = registers(effects.reads).filter_map(|r| cycles[r]).max();
        let longest = inputs
            .filter(|_| !op.code.is_call())
            .map(|c| c.saturating_add(latency(op)));
        for register in registers(effects.writes) {
            cycles[register] = match is_chosen(ops, index) {
                true => cycles[register].max(longest),
                false => longest,
            };
        }
    }
    cycles[usize::from(to) % REGISTERS]
}
