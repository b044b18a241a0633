//! Copies that belong to the way back of a loop are made before its branch, where nobody minds on the
//! other way: the branch then leads back by itself.

use alloc::{vec, vec::Vec};

use super::{
    allocate::{Allocated, Home, Step},
    machine::Inst,
};

/// Copies that are made though the loop may end.
const COPIES_MOST: usize = 4;
/// Loops that are looked after: what lives is found anew after each.
const LOOPS_MOST: usize = 64;

/// Moves what it finds. `clobbers` are the registers that an instruction leaves with other values.
pub fn run(allocated: &mut Allocated, clobbers: impl Fn(&Inst) -> u16) {
    let mut ways = vec![0u32; allocated.blocks.len()];
    for next in allocated.next.iter().flatten() {
        ways[*next] += 1;
    }
    let mut moved = 0;
    let mut live: Option<Vec<u16>> = None;
    for block in 0..allocated.blocks.len() {
        let [then, other] = allocated.next[block][..] else {
            continue;
        };
        if moved == LOOPS_MOST {
            return;
        }
        for (way, kept) in [(then, other), (other, then)] {
            let Some(copies) = copies(allocated, block, way).filter(|_| ways[way] == 1) else {
                continue;
            };
            let live = live.get_or_insert_with(|| live_in(allocated, &clobbers));
            let Some(Step::Inst(branch)) = allocated.blocks[block].last().copied() else {
                continue;
            };
            let mut busy = live[kept];
            reads(&branch, |reg| busy |= 1 << reg);
            if copies.iter().any(|(_, to)| busy >> to & 1 == 1) {
                continue;
            }
            let Some(jump) = allocated.blocks[way].pop() else {
                continue;
            };
            let steps = core::mem::replace(&mut allocated.blocks[way], vec![jump]);
            let at = allocated.blocks[block].len() - 1;
            allocated.blocks[block].splice(at..at, steps);
            moved += 1;
            // What lives has changed.
            *live = live_in(allocated, &clobbers);
        }
    }
}

/// Copies to registers that a block back does before it jumps, and their targets.
fn copies(allocated: &Allocated, block: usize, way: usize) -> Option<Vec<(Home, u8)>> {
    let [to] = allocated.next[way][..] else {
        return None;
    };
    if to > block || way <= to {
        return None;
    }
    let (Step::Inst(Inst::Jump), copies) = allocated.blocks[way].split_last()? else {
        return None;
    };
    if copies.is_empty() || copies.len() > COPIES_MOST {
        return None;
    }
    let register = |step: &Step| match *step {
        Step::Copy {
            from,
            to: Home::Reg(to),
        } => Some((from, to as u8)),
        _ => None,
    };
    copies.iter().map(register).collect()
}

/// Calls `f` with each register that an instruction reads.
fn reads(inst: &Inst, mut f: impl FnMut(u32)) {
    let mut inst = *inst;
    inst.visit(&mut |reg, need| {
        if !need.writes() && *reg < 16 {
            f(*reg);
        }
    });
}

/// Registers that live into each block.
fn live_in(allocated: &Allocated, clobbers: &impl Fn(&Inst) -> u16) -> Vec<u16> {
    let mut own = Vec::with_capacity(allocated.blocks.len());
    for steps in &allocated.blocks {
        let (mut needs, mut written) = (0u16, 0u16);
        let read = |reg: u32, needs: &mut u16, written: u16| *needs |= 1 << reg & !written;
        for step in steps {
            match step {
                Step::Copy { from, to } => {
                    if let Home::Reg(from) = from {
                        read(*from as u32, &mut needs, written);
                    }
                    if let Home::Reg(to) = to {
                        written |= 1 << *to as u8;
                    }
                }
                Step::Inst(inst) => {
                    reads(inst, |reg| read(reg, &mut needs, written));
                    let mut inst = *inst;
                    inst.visit(&mut |reg, need| {
                        if need.writes() {
                            written |= 1 << *reg;
                        }
                    });
                    written |= clobbers(&inst);
                }
            }
        }
        own.push((needs, written));
    }
    let mut live = vec![0u16; own.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for block in (0..own.len()).rev() {
            let next = allocated.next[block].iter();
            let out = next.fold(0, |all, to| all | live[*to]);
            let (needs, written) = own[block];
            let now = needs | out & !written;
            changed |= now != live[block];
            live[block] = now;
        }
    }
    live
}
