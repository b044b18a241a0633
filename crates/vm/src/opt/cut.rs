//! A function's operations cut into blocks: where jumps lead and leave, and which registers live into
//! each.

use alloc::{vec, vec::Vec};

use super::plan::target;
use crate::{
    Executable,
    op::{Code, NO_REGISTER, Op},
};

/// The number that stands for what is left of `may_goto`, among the registers.
pub const MAY_GOTO: usize = 13;

/// Registers as a set.
pub type Set = u16;

pub const fn set(number: u8) -> Set {
    1 << (number as usize % 16)
}

/// Registers that an operation reads, and those that it leaves with other values.
fn touched(op: &Op) -> (Set, Set) {
    use Code::*;
    let (dst, src) = (set(op.dst), set(op.src));
    let arguments = |n: u8| (2u16 << n) - 2;
    let reads = match op.code {
        Mov64K | Mov32K => 0,
        Mov64X | Mov32X => src,
        code if code < Mov64K => {
            // Forms come in the order 64K, 64X, 32K, 32X.
            if (code as u8).is_multiple_of(2) {
                dst
            } else {
                dst | src
            }
        }
        Neg64 | Neg32 | Zext16 | Zext32 | Swap16 | Swap32 | Swap64 => dst,
        Sx8To64 | Sx16To64 | Sx32To64 | Sx8To32 | Sx16To32 => src,
        code if code.is_branch() => {
            let form = code as u8 - JEq64K as u8;
            if form.is_multiple_of(2) {
                dst
            } else {
                dst | src
            }
        }
        MayGoto => set(MAY_GOTO as u8),
        code if (Ld8..=ProbeS32).contains(&code) => src,
        LdAcq8 | LdAcq16 | LdAcq32 | LdAcq64 | Computed | CastKernel | CastUser => src,
        St8K | St16K | St32K | St64K => dst,
        St8X | St16X | St32X | St64X | StRel8 | StRel16 | StRel32 | StRel64 | ComputedStore
        | ArenaPlace => dst | src,
        StFrame8X | StFrame16X | StFrame32X | StFrame64X => src,
        Atomic32 | Atomic64 => dst | src | set(0),
        PacketLoad if op.src == NO_REGISTER => set(6),
        PacketLoad => set(6) | src,
        Helper => arguments(op.src.min(5)),
        ArrayLookup => set(2),
        Local => arguments(5),
        TailCall => arguments(3),
        Exit => set(0),
        _ => 0,
    };
    let mut writes = op.written().map_or(0, set);
    if op.code.is_call() {
        writes |= arguments(5) | set(0);
    }
    if op.code == MayGoto {
        writes |= set(MAY_GOTO as u8);
    }
    (reads, writes)
}

/// One function's operations, cut into blocks.
pub struct Cut {
    /// First operation of each block, in order.
    pub starts: Vec<usize>,
    end: usize,
    /// Registers that live into each.
    pub live: Vec<Set>,
    /// How many ways lead to each, the entry counted.
    pub ways: Vec<u32>,
}

impl Cut {
    pub fn new(executable: &Executable, (from, to): (usize, usize)) -> Cut {
        let mut leader = vec![false; to - from + 1];
        leader[0] = true;
        for index in from..to {
            if let Some(target) = target(executable, index) {
                if (from..to).contains(&target) {
                    leader[target - from] = true;
                }
                leader[index + 1 - from] = true;
            }
            if executable.ops[index].code.ends() {
                leader[index + 1 - from] = true;
            }
        }
        let starts: Vec<usize> = (from..to).filter(|i| leader[i - from]).collect();
        let mut cut = Cut {
            live: vec![0; starts.len()],
            ways: vec![0; starts.len()],
            starts,
            end: to,
        };
        cut.find_ways(executable);
        cut.find_live(executable);
        cut
    }

    pub fn end_of(&self, block: usize) -> usize {
        self.starts.get(block + 1).copied().unwrap_or(self.end)
    }

    fn block_at(&self, op: usize) -> Option<usize> {
        self.starts.binary_search(&op).ok()
    }

    /// Blocks that follow one: by the jump, and in order.
    pub fn next(&self, executable: &Executable, block: usize) -> [Option<usize>; 2] {
        let last = self.end_of(block) - 1;
        let jump = target(executable, last).and_then(|t| self.block_at(t));
        let falls = !executable.ops[last].code.ends();
        [
            jump,
            (falls && block + 1 < self.starts.len()).then_some(block + 1),
        ]
    }

    fn find_ways(&mut self, executable: &Executable) {
        self.ways[0] = 1;
        for block in 0..self.starts.len() {
            for next in self.next(executable, block).into_iter().flatten() {
                self.ways[next] += 1;
            }
        }
    }

    fn find_live(&mut self, executable: &Executable) {
        let own: Vec<(Set, Set)> = (0..self.starts.len())
            .map(|block| {
                let (mut reads, mut writes) = (0, 0);
                for index in self.starts[block]..self.end_of(block) {
                    let (r, w) = touched(&executable.ops[index]);
                    reads |= r & !writes;
                    writes |= w;
                }
                (reads, writes)
            })
            .collect();
        let mut changed = true;
        while changed {
            changed = false;
            for block in (0..self.starts.len()).rev() {
                let out = self.next(executable, block);
                let out = out.into_iter().flatten().fold(0, |s, n| s | self.live[n]);
                let (reads, writes) = own[block];
                let live = reads | out & !writes;
                changed |= live != self.live[block];
                self.live[block] = live;
            }
        }
        // The frame pointer never changes.
        for live in &mut self.live {
            *live &= !set(10);
        }
    }
}
