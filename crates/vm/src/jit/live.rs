//! Which registers of the program hold what is still read.

use alloc::{vec, vec::Vec};

use super::plan::target;
use crate::{
    Executable,
    op::{Atomic, Code, NO_REGISTER, OTHERWISE, Op, READS_DST, READS_SRC, WRITES_DST, plainly},
};

/// Registers, a bit for each.
pub type Set = u16;

/// All registers of a program, and the lowering's own.
const ALL: Set = 0x0fff;
/// What helpers get, and what they leave.
const ARGUMENTS: Set = 0b11_1110;
const GIVEN_AWAY: Set = 0b11_1111;

/// What an operation reads and writes.
#[derive(Clone, Copy)]
pub struct Effects {
    pub reads: Set,
    pub writes: Set,
}

/// The set of one register.
pub const fn only(register: u8) -> Set {
    1 << (register & 15)
}

/// What an operation reads and writes. The frame pointer is read by whom it suits.
#[inline]
pub fn effects(op: &Op) -> Effects {
    use Code::*;
    let (dst, src) = (only(op.dst), only(op.src));
    let code = op.code;
    let plain = plainly(code);
    let when = |flag: u8, set: Set| if plain & flag != 0 { set } else { 0 };
    let (reads, writes) = if plain & OTHERWISE == 0 {
        (
            when(READS_DST, dst) | when(READS_SRC, src),
            when(WRITES_DST, dst),
        )
    } else {
        match code {
            Jump | MayGoto | Trap => (0, 0),
            Cpu => (0, dst),
            St8K | St16K | St32K | St64K => (dst, 0),
            StFrame8K | StFrame16K | StFrame32K | StFrame64K => (0, 0),
            StFrame8X | StFrame16X | StFrame32X | StFrame64X => (src, 0),
            Atomic32 | Atomic64 => {
                let compared = match Atomic::ALL[op.imm as usize % Atomic::ALL.len()] {
                    Atomic::CmpXchg => only(0),
                    _ => 0,
                };
                (dst | src | compared, op.written().map_or(0, only))
            }
            LdAcq8 | LdAcq16 | LdAcq32 | LdAcq64 | Computed | CastKernel | CastUser => (src, dst),
            ArenaPlace => (dst | src, dst),
            PacketLoad => {
                let src = if op.src == NO_REGISTER { 0 } else { src };
                (src | only(6), GIVEN_AWAY)
            }
            Helper | Local => (ARGUMENTS, GIVEN_AWAY),
            ArrayLookup => (only(2), GIVEN_AWAY),
            TailCall => (ARGUMENTS, GIVEN_AWAY),
            Exit => (only(0), 0),
            // Stores of registers, by any way.
            _ => (dst | src, 0),
        }
    };
    Effects { reads, writes }
}

/// What more an operation reads in a cage, where nobody has proven that a program reads what a call
/// leaves or does not hand over: callers see what the called has in `r0` to `r5`, the called what
/// callers have everywhere.
pub fn unproven_reads(op: &Op) -> Set {
    match op.code {
        Code::Local => 0x03ff,
        Code::Exit => GIVEN_AWAY,
        _ => 0,
    }
}

/// Whether an operation does nothing but give its register another value.
pub fn is_pure(code: Code) -> bool {
    code <= Code::Swap64
        || (Code::Ld8..=Code::LdFrameS32).contains(&code)
        || matches!(code, Code::CastKernel | Code::CastUser)
}

/// Registers that are read again, in front of each operation. Never too few; on ways around loops
/// perhaps too many.
pub struct Live(Vec<Set>);

impl Live {
    pub fn new(executable: &Executable, caged: bool) -> Live {
        let ops = &executable.ops;
        // One more, so that each operation has one behind it.
        let mut live = vec![ALL; ops.len() + 1];
        live[ops.len()] = 0;
        // The first round takes all registers for live where a jump leads back.
        if pass(executable, caged, &mut live) {
            pass(executable, caged, &mut live);
        }
        Live(live)
    }

    /// In front of an operation.
    pub fn before(&self, index: usize) -> Set {
        self.0.get(index).copied().unwrap_or(ALL)
    }

    /// Behind the last of operations in order, none of which jumps.
    pub fn behind(&self, last: usize) -> Set {
        self.before(last + 1)
    }
}

/// One round from the end to the start; whether some jump leads back.
fn pass(executable: &Executable, caged: bool, live: &mut [Set]) -> bool {
    let mut back = false;
    let mut next = 0;
    for (index, op) in executable.ops.iter().enumerate().rev() {
        let code = op.code;
        if code.jumps() {
            let target = target(executable, index, op);
            back |= target <= index;
            let there = live[target];
            next = if code == Code::Jump {
                there
            } else {
                next | there
            };
        } else if matches!(code, Code::Exit | Code::Trap) {
            next = 0;
        }
        let Effects { reads, writes } = effects(op);
        next = next & !writes | reads;
        if caged {
            next |= unproven_reads(op);
        }
        live[index] = next;
    }
    back
}
