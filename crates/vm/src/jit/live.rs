//! Which registers of the program hold what is still read.

use alloc::{vec, vec::Vec};
use core::ops::Range;

use super::plan::{Bits, Head, Uses, target};
use crate::{
    Executable,
    op::{
        Atomic, Code, FLOW, NO_REGISTER, OTHERWISE, Op, READS_DST, READS_SRC, WRITES_DST, plainly,
    },
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
#[inline(always)]
pub fn effects(op: &Op) -> Effects {
    let plain = plainly(op.code);
    if plain & OTHERWISE != 0 {
        return other_effects(op);
    }
    let when = |flag: u8, register: u8| Set::from(plain & flag != 0) << (register & 15);
    Effects {
        reads: when(READS_DST, op.dst) | when(READS_SRC, op.src),
        writes: when(WRITES_DST, op.dst),
    }
}

#[inline(never)]
fn other_effects(op: &Op) -> Effects {
    use Code::*;
    let (dst, src) = (only(op.dst), only(op.src));
    let (reads, writes) = match op.code {
        Jump | MayGoto | Trap => (0, 0),
        Cpu => (0, dst),
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
        // A field of the context.
        _ => (dst | src, 0),
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
pub const fn is_pure(code: u8) -> bool {
    code <= Code::Swap64 as u8
        || (code >= Code::Ld8 as u8 && code <= Code::LdFrameS32 as u8)
        || code == Code::CastKernel as u8
        || code == Code::CastUser as u8
}

/// Registers that are read again, in front of each operation. Never too few; on ways around loops
/// perhaps too many.
pub struct Live(Vec<Set>);

impl Live {
    /// In front of an operation.
    #[inline]
    pub fn before(&self, index: usize) -> Set {
        self.0.get(index).copied().unwrap_or(ALL)
    }

    /// Behind the last of operations in order, none of which jumps.
    #[inline]
    pub fn behind(&self, last: usize) -> Set {
        self.before(last + 1)
    }
}

/// What one look at every operation finds.
pub struct Survey {
    pub live: Live,
    /// Operations that something jumps to.
    pub reached: Bits,
    /// Heads of loops, in order.
    pub heads: Vec<Head>,
    /// What each function does.
    pub uses: Vec<Uses>,
}

/// Looks at all operations, from the end to the start; functions by their first operation, in order.
pub fn survey(executable: &Executable, caged: bool, starts: &[(usize, usize)]) -> Survey {
    let ops = &executable.ops;
    // One more, so that each operation has one behind it.
    let mut live = vec![ALL; ops.len() + 1];
    live[ops.len()] = 0;
    let mut survey = Survey {
        live: Live(live),
        reached: Bits::new(ops.len()),
        heads: Vec::new(),
        uses: vec![Uses::default(); executable.functions.len()],
    };
    let mut next = 0;
    let mut end = ops.len();
    let mut uses = Uses::default();
    for &(start, function) in starts.iter().rev() {
        // Several begin at the last operation where no path leads to them.
        if start < end {
            uses = Uses::default();
            next = survey.walk(executable, caged, start..end, next, Some(&mut uses));
            end = start;
        }
        survey.uses[function] = uses;
    }
    survey.walk(executable, caged, 0..end, next, Some(&mut uses));
    // The first walk takes all registers for live where a jump leads back.
    if let Some(last) = survey.heads.iter().map(|head| head.last).max() {
        let to = last as usize + 1;
        let behind = survey.live.before(to);
        survey.walk(executable, caged, 0..to, behind, None);
    }
    survey.heads.sort_unstable_by_key(|head| head.op);
    survey.heads.dedup_by(|other, head| {
        let same = other.op == head.op;
        if same {
            head.steps = head.steps.min(other.steps);
            head.last = head.last.max(other.last);
        }
        same
    });
    survey
}

impl Survey {
    /// Walks from the end of a range to its start with what is live behind it; what is live in front
    /// of it. Everything else is found where `uses` are asked for.
    fn walk(
        &mut self,
        executable: &Executable,
        caged: bool,
        range: Range<usize>,
        mut next: Set,
        mut uses: Option<&mut Uses>,
    ) -> Set {
        let from = range.start;
        let ops = executable.ops.get(range).unwrap_or_default();
        let mut written = 0;
        for (at, op) in ops.iter().enumerate().rev() {
            let index = from + at;
            let plain = plainly(op.code);
            if plain & FLOW != 0 {
                if op.code.jumps() {
                    let target = target(executable, index, op);
                    if uses.is_some() {
                        self.reached.set(target);
                        self.note_head(target, index);
                    }
                    let there = self.live.0[target];
                    next = if op.code == Code::Jump {
                        there
                    } else {
                        next | there
                    };
                } else if op.code.ends() {
                    next = 0;
                }
                if let Some(uses) = &mut uses {
                    uses.note(op.code);
                }
            }
            let Effects { reads, writes } = effects(op);
            written |= writes;
            next = next & !writes | reads;
            if caged {
                next |= unproven_reads(op);
            }
            self.live.0[index] = next;
        }
        if let Some(uses) = uses {
            uses.written |= written;
        }
        next
    }

    /// Takes note of a jump back.
    fn note_head(&mut self, target: usize, index: usize) {
        if let Some(way) = index.checked_sub(target) {
            self.heads.push(Head {
                op: target as u32,
                steps: way as u32 + 1,
                last: index as u32,
                counted: true,
            });
        }
    }
}
