//! Which registers and stack slots are read later: pruning ignores the others.
//!
//! Registers are known before the search, from the instructions alone; stack slots, which are
//! reached through pointers, only by the search itself ([`StackLiveness`]).

mod stack;

use alloc::vec::Vec;

use panal_isa::{AluOp, AtomicOp, CallTarget, Instruction, Operand, PacketMode, Reg};

use crate::{env::Env, program::Program};

pub use stack::{InstanceId, StackLiveness};

const CALLER_SAVED: u16 = 0b11_1111;
const ARGUMENTS: u16 = 0b11_1110;
/// `r0` to `r9`.
const ALL: u16 = 0b11_1111_1111;

const fn bit(reg: Reg) -> u16 {
    1 << reg.number()
}

fn operand(src: &Operand) -> u16 {
    match src {
        Operand::Reg(reg) => bit(*reg),
        Operand::Imm(_) => 0,
    }
}

/// Registers that an instruction reads and writes.
fn uses(program: &Program, slot: usize, instruction: &Instruction) -> (u16, u16) {
    match instruction {
        Instruction::Alu {
            op: AluOp::Mov,
            dst,
            src,
            ..
        } => (operand(src), bit(*dst)),
        Instruction::Alu { dst, src, .. } => (bit(*dst) | operand(src), bit(*dst)),
        Instruction::Neg { dst, .. } | Instruction::Endian { dst, .. } => (bit(*dst), bit(*dst)),
        Instruction::MovSx { dst, src, .. } | Instruction::AddrSpaceCast { dst, src, .. } => {
            (bit(*src), bit(*dst))
        }
        Instruction::LoadImm64 { dst, .. } => (0, bit(*dst)),
        Instruction::Load { dst, base, .. } => (bit(*base), bit(*dst)),
        Instruction::Store { base, src, .. } => (bit(*base) | operand(src), 0),
        Instruction::Atomic { op, base, src, .. } => match op {
            AtomicOp::LoadAcquire => (bit(*base), bit(*src)),
            AtomicOp::StoreRelease => (bit(*base) | bit(*src), 0),
            AtomicOp::CmpXchg => (bit(*base) | bit(*src) | bit(Reg::R0), bit(Reg::R0)),
            AtomicOp::Xchg
            | AtomicOp::Add { fetch: true }
            | AtomicOp::Or { fetch: true }
            | AtomicOp::And { fetch: true }
            | AtomicOp::Xor { fetch: true } => (bit(*base) | bit(*src), bit(*src)),
            _ => (bit(*base) | bit(*src), 0),
        },
        Instruction::PacketLoad { mode, .. } => {
            let index = match mode {
                PacketMode::Absolute => 0,
                PacketMode::Indirect(reg) => bit(*reg),
            };
            (bit(Reg::R6) | index, CALLER_SAVED)
        }
        Instruction::Branch { dst, src, .. } => (bit(*dst) | operand(src), 0),
        Instruction::Jump { .. } | Instruction::MayGoto { .. } => (0, 0),
        Instruction::Call(CallTarget::Local(_) | CallTarget::Reg(_)) => (ARGUMENTS, CALLER_SAVED),
        Instruction::Call(_) => {
            let params = program.call(slot).map_or(5, |c| c.params);
            (((1u16 << (params + 1)) - 1) & ARGUMENTS, CALLER_SAVED)
        }
        Instruction::Exit => (bit(Reg::R0), 0),
    }
}

/// Works out [`crate::env::Aux::live_regs`], the registers read from each slot on, and prepares
/// [`Env::liveness`].
pub fn prepare(env: &mut Env<'_>) {
    let predecessors = Predecessors::new(&env.program);
    registers(env, &predecessors);
    env.liveness = StackLiveness::new(predecessors);
}

fn registers(env: &mut Env<'_>, predecessors: &Predecessors) {
    let n = env.program.len();
    let beforehand = env.since(6, 15);
    let effects: Vec<(u16, u16)> = (0..n)
        .map(|slot| {
            env.program.get(slot).map_or((0, 0), |i| match i {
                // What Linux works out beforehand takes them for instructions that read all.
                Instruction::PacketLoad { .. } if beforehand => (ALL, 0),
                _ => uses(&env.program, slot, i),
            })
        })
        .collect();
    // Backwards, so that most slots are seen once: those that lie before come anyway.
    let mut work: Vec<u32> = Vec::new();
    let mut after = alloc::vec![0u16; n];
    let mut sweep = (0..n).rev();
    loop {
        let next = sweep.next();
        let sweeping = next.is_some();
        let Some(slot) = next.or_else(|| work.pop().map(|slot| slot as usize)) else {
            return;
        };
        let (reads, writes) = effects[slot];
        let before = (after[slot] & !writes) | reads;
        env.aux[slot].live_regs = before;
        predecessors.for_each(slot, |p| {
            let grown = after[p as usize] | before;
            if grown != after[p as usize] {
                after[p as usize] = grown;
                if !sweeping || p as usize >= slot {
                    work.push(p);
                }
            }
        });
    }
}

/// From where each slot is reached within its subprogram.
#[derive(Debug, Default)]
struct Predecessors {
    /// Two at most, for most slots.
    first: Vec<[u32; 2]>,
    /// (slot, predecessor), sorted.
    more: Vec<(u32, u32)>,
}

impl Predecessors {
    fn new(program: &Program) -> Predecessors {
        let n = program.len();
        let mut first = alloc::vec![[NONE; 2]; n];
        let mut more = Vec::new();
        for slot in 0..n {
            let (a, b) = program.successors(slot);
            for to in [a, b].into_iter().flatten().filter(|&to| to < n) {
                match first[to].iter_mut().find(|p| **p == NONE) {
                    Some(place) => *place = slot as u32,
                    None => more.push((to as u32, slot as u32)),
                }
            }
        }
        more.sort_unstable();
        Predecessors { first, more }
    }

    fn for_each(&self, slot: usize, mut f: impl FnMut(u32)) {
        for p in self.first[slot] {
            if p != NONE {
                f(p);
            }
        }
        let from = self.more.partition_point(|&(to, _)| (to as usize) < slot);
        for &(to, p) in &self.more[from..] {
            if to as usize != slot {
                break;
            }
            f(p);
        }
    }
}

const NONE: u32 = u32::MAX;
