//! Which registers of the program hold what is still read.

use alloc::{vec, vec::Vec};
use core::ops::Range;

use super::plan::{Head, Uses, target};
use crate::{
    Executable, Few,
    op::{
        Atomic, Code, FLOW, NO_REGISTER, OTHERWISE, Op, PURE, READS_DST, READS_SRC, WRITES_DST,
        plainly,
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
        OfRun => (0, dst),
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

/// What is known in front of an operation.
#[derive(Clone, Copy)]
pub struct Note(u16);

impl Note {
    /// A jump leads here.
    const TARGET: u16 = 1 << 12;
    /// Nobody reads what the operation computes, and it does nothing else.
    const DEAD: u16 = 1 << 13;

    /// Registers that are read again.
    #[inline]
    pub fn live(self) -> Set {
        self.0 & ALL
    }

    /// Whether a jump leads here.
    #[inline]
    pub fn is_target(self) -> bool {
        self.0 & Note::TARGET != 0
    }

    /// Whether the operation does nothing that anybody sees. In a cage no operation is taken for such
    /// a one: of an access that is at fault is told even so.
    #[inline]
    pub fn is_dead(self) -> bool {
        self.0 & Note::DEAD != 0
    }
}

/// What is known in front of each operation, and behind the last one: which registers are read again,
/// by operations that are not dead themselves. Never too few; on ways around loops perhaps too many.
pub struct Live(Vec<Note>);

/// Notes that are looked at in one.
const GROUP: usize = 4;

impl Live {
    /// The first operation from one on that is not dead, or that a jump leads to. What is read again in
    /// front of those in between is what is read again in front of it.
    #[inline(always)]
    pub fn first_alive(&self, mut index: usize) -> usize {
        const EACH: u64 = 0x0001_0001_0001_0001;
        while let Some(notes) = self.0.get(index..index + GROUP) {
            let word = (0..GROUP).fold(0, |word, n| word | u64::from(notes[n].0) << (16 * n));
            let dead = EACH * u64::from(Note::DEAD);
            let targets = EACH * u64::from(Note::TARGET);
            let alive = (!word & dead) | (word & targets);
            if alive != 0 {
                return index + alive.trailing_zeros() as usize / 16;
            }
            index += GROUP;
        }
        index
    }

    /// What is known in front of an operation.
    #[inline]
    pub fn note(&self, index: usize) -> Note {
        self.0.get(index).copied().unwrap_or(Note(ALL))
    }

    /// Registers that are read again in front of an operation.
    #[inline]
    pub fn before(&self, index: usize) -> Set {
        self.note(index).live()
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
    /// Heads of loops, in order.
    pub heads: Vec<Head>,
    /// What each function does.
    pub uses: Few<Uses>,
}

/// Looks at all operations, from the end to the start; functions by their first operation, in order.
pub fn survey(executable: &Executable, caged: bool, starts: &[(usize, usize)]) -> Survey {
    let ops = &executable.ops;
    // More, so that each operation has some behind it.
    let mut live = vec![Note(ALL); ops.len() + GROUP];
    live[ops.len()..].fill(Note(0));
    let mut survey = Survey {
        live: Live(live),
        heads: Vec::new(),
        uses: smallvec::smallvec![Uses::default(); executable.functions.len()],
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
        let ops = executable.ops.get(range.clone()).unwrap_or_default();
        let mut written = 0;
        let mut left = ops.len();
        loop {
            let notes = &mut self.live.0[range.start..];
            left = walk_plain(&ops[..left], notes, caged, &mut next, &mut written);
            let Some(before) = left.checked_sub(1) else {
                break;
            };
            left = before;
            let index = range.start + left;
            let op = &ops[left];
            next = self.flow(executable, index, next, &mut uses);
            let Effects { mut reads, writes } = effects(op);
            let mut dead = 0;
            if caged {
                reads |= unproven_reads(op);
            } else if plainly(op.code) & PURE != 0 && next & only(op.dst) == 0 {
                (reads, dead) = (0, Note::DEAD);
            }
            written |= writes;
            next = next & !writes | reads;
            let note = &mut self.live.0[index];
            *note = Note(next | dead | note.0 & Note::TARGET);
        }
        if let Some(uses) = uses {
            uses.written |= written;
        }
        next
    }

    /// What is live behind an operation that may lead elsewhere, with what is live there.
    fn flow(
        &mut self,
        executable: &Executable,
        index: usize,
        next: Set,
        uses: &mut Option<&mut Uses>,
    ) -> Set {
        let op = &executable.ops[index];
        let code = op.code;
        if let Some(uses) = uses {
            uses.note(code);
        }
        if code.jumps() {
            let target = target(executable, index, op);
            let there = &mut self.live.0[target];
            let live = there.live();
            if uses.is_some() {
                there.0 |= Note::TARGET;
                self.note_head(target, index);
            }
            return match code {
                Code::Jump => live,
                _ => next | live,
            };
        }
        match code.ends() {
            true => 0,
            false => next,
        }
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

/// Walks from the last operation backwards as long as operations use their registers only as [`plainly`]
/// says and lead to the next: how many are left.
fn walk_plain(
    ops: &[Op],
    notes: &mut [Note],
    caged: bool,
    behind: &mut Set,
    all_written: &mut Set,
) -> usize {
    let (mut next, mut written) = (u32::from(*behind), 0);
    // In a cage every operation counts as one that does something.
    let counts = u32::from(caged);
    let mut left = ops.len();
    for (op, note) in ops.iter().zip(&mut notes[..ops.len()]).rev() {
        let plain = u32::from(plainly(op.code));
        if plain & u32::from(OTHERWISE | FLOW) != 0 {
            break;
        }
        left -= 1;
        let (dst, src) = (op.dst & 15, op.src & 15);
        // Which operations are dead is nothing that could be foreseen: numbers, no branches.
        let is = |flag: u8| plain >> flag.trailing_zeros() & 1;
        let alive = (next >> dst & 1) | is(PURE) ^ 1 | counts;
        let reads = (is(READS_DST) & alive) << dst | (is(READS_SRC) & alive) << src;
        let writes = is(WRITES_DST) << dst;
        written |= writes;
        next = next & !writes | reads;
        let dead = (alive ^ 1) << Note::DEAD.trailing_zeros();
        let flags = dead | u32::from(note.0 & Note::TARGET);
        *note = Note((next | flags) as u16);
    }
    *behind = next as Set;
    *all_written |= written as Set;
    left
}
