//! From what is wanted after an instruction to what is wanted before it.

use panal_isa::{AluOp, AtomicOp, CallTarget, Instruction, Operand, Reg};

use super::wanted::{ARGUMENTS, TooHard, Wanted};
use crate::{
    env::{Aux, Env},
    explore::HistoryEntry,
};

/// In [`Env::precision_regs`]: whatever is wanted, the walk must look at it.
pub(super) const ANYTHING: u16 = 1 << 15;

/// Works out [`Env::precision_regs`].
pub fn registers_concerned(env: &mut Env<'_>) {
    let slots = env.program.instructions.iter().zip(&env.aux);
    env.precision_regs = slots
        .map(|(instruction, aux)| instruction.as_ref().map_or(0, |i| concerned(i, aux)))
        .collect();
}

/// Registers for which [`undo`] does something at an instruction that has no linked numbers, and that
/// accesses no stack slot that is wanted.
fn concerned(instruction: &Instruction, aux: &Aux) -> u16 {
    let bit = |reg: &Reg| 1 << reg.number();
    match instruction {
        Instruction::Alu { dst, .. }
        | Instruction::MovSx { dst, .. }
        | Instruction::AddrSpaceCast { dst, .. }
        | Instruction::Load { dst, .. }
        | Instruction::LoadImm64 { dst, .. } => bit(dst),
        Instruction::Branch {
            dst,
            src: Operand::Reg(src),
            ..
        } => bit(dst) | bit(src),
        Instruction::Branch { .. }
        | Instruction::Neg { .. }
        | Instruction::Endian { .. }
        | Instruction::Jump { .. }
        | Instruction::MayGoto { .. } => 0,
        Instruction::Store { base, .. } => bit(base),
        Instruction::Call(CallTarget::Local(_)) => ANYTHING,
        Instruction::Call(_) if aux.calls_callback => ANYTHING,
        Instruction::Call(_) => ARGUMENTS | bit(&Reg::R0),
        Instruction::Atomic { .. } | Instruction::PacketLoad { .. } | Instruction::Exit => ANYTHING,
    }
}

/// From what is wanted after an instruction to what is wanted before it.
pub(super) fn undo(
    env: &Env<'_>,
    slot: u32,
    later: Option<u32>,
    entry: Option<&HistoryEntry>,
    wanted: &mut Wanted,
) -> Result<(), TooHard> {
    let Some(instruction) = env.program.get(slot as usize) else {
        return Ok(());
    };
    let linked = entry.and_then(|entry| env.search.linked(entry));
    if let Some(linked) = linked {
        wanted.spread(linked);
    }
    let stack = entry
        .and_then(|e| e.stack)
        .map(|(f, i)| (usize::from(f & 7), 1u64 << (i & 63)));
    match instruction {
        Instruction::Alu {
            op: AluOp::Mov,
            dst,
            src,
            ..
        } if wanted.has(*dst) => {
            wanted.remove(*dst);
            if let Operand::Reg(src) = src {
                wanted.add(*src);
            }
        }
        Instruction::MovSx { dst, src, .. } | Instruction::AddrSpaceCast { dst, src, .. }
            if wanted.has(*dst) =>
        {
            wanted.remove(*dst);
            wanted.add(*src);
        }
        Instruction::Alu {
            op,
            dst,
            src: Operand::Reg(src),
            ..
        } if *op != AluOp::Mov && wanted.has(*dst) => {
            wanted.add(*src);
        }
        Instruction::Load { dst, .. }
        | Instruction::Atomic {
            op: AtomicOp::LoadAcquire,
            src: dst,
            ..
        } if wanted.has(*dst) => {
            wanted.remove(*dst);
            if let Some((frame, bit)) = stack {
                wanted.slots[frame] |= bit;
            }
        }
        Instruction::Load { .. }
        | Instruction::Atomic {
            op: AtomicOp::LoadAcquire,
            ..
        } => {}
        Instruction::Store { base, src, .. } => {
            undo_store(wanted, *base, stack, src)?;
        }
        Instruction::Atomic { op, base, src, .. } => {
            let fetched = match op {
                AtomicOp::CmpXchg => Some(Reg::R0),
                AtomicOp::Xchg
                | AtomicOp::Add { fetch: true }
                | AtomicOp::Or { fetch: true }
                | AtomicOp::And { fetch: true }
                | AtomicOp::Xor { fetch: true } => Some(*src),
                _ => None,
            };
            match fetched {
                Some(reg) if wanted.has(reg) => {
                    wanted.remove(reg);
                    if let Some((frame, bit)) = stack {
                        wanted.slots[frame] |= bit;
                    }
                }
                _ => undo_store(wanted, *base, stack, &Operand::Reg(*src))?,
            }
        }
        Instruction::Branch {
            dst,
            src: Operand::Reg(src),
            ..
        } if wanted.has(*dst) || wanted.has(*src) => {
            wanted.add(*dst);
            wanted.add(*src);
        }
        Instruction::LoadImm64 { dst, .. } => wanted.remove(*dst),
        // In a function, it returns 0 at once where the packet is too short.
        Instruction::PacketLoad { .. } if later != Some(slot + 1) => {
            wanted.remove(Reg::R0);
            if wanted.regs[wanted.frame] & ARGUMENTS != 0 {
                return Err(TooHard);
            }
            wanted.enter()?;
        }
        Instruction::PacketLoad { .. } if wanted.has(Reg::R0) => return Err(TooHard),
        Instruction::Call(target) => undo_call(env, slot, later, *target, wanted)?,
        Instruction::Exit => return undo_exit(env, later, wanted),
        _ => {}
    }
    if let Some(linked) = linked {
        wanted.spread(linked);
    }
    Ok(())
}

fn undo_store(
    wanted: &mut Wanted,
    base: Reg,
    stack: Option<(usize, u64)>,
    src: &Operand,
) -> Result<(), TooHard> {
    if wanted.has(base) {
        // A number that is a pointer here: some subtraction of pointers.
        return Err(TooHard);
    }
    let Some((frame, bit)) = stack else {
        return Ok(());
    };
    if wanted.slots[frame] & bit != 0 {
        wanted.slots[frame] &= !bit;
        if let Operand::Reg(src) = src {
            wanted.add(*src);
        }
    }
    Ok(())
}

fn undo_call(
    env: &Env<'_>,
    slot: u32,
    later: Option<u32>,
    target: CallTarget,
    wanted: &mut Wanted,
) -> Result<(), TooHard> {
    let regs = wanted.regs[wanted.frame];
    if let CallTarget::Local(_) = target {
        let callee = env.program.callee(slot as usize).ok_or(TooHard)?;
        let is_global = env.program.subprograms[callee as usize].global;
        if is_global {
            if regs & ARGUMENTS != 0 {
                return Err(TooHard);
            }
            wanted.remove(Reg::R0);
            return Ok(());
        }
        // Back from the callee's first instruction to the call: its arguments are the caller's.
        if regs & !ARGUMENTS != 0 || wanted.frame == 0 {
            return Err(TooHard);
        }
        wanted.regs[wanted.frame] = 0;
        wanted.leave()?;
        wanted.regs[wanted.frame] |= regs & ARGUMENTS;
        return Ok(());
    }
    let straight = later == Some(slot + 1);
    if env.aux[slot as usize].calls_callback && !straight {
        // Back from a callback's first instruction: the helper made its arguments.
        if regs & !ARGUMENTS != 0 {
            return Err(TooHard);
        }
        wanted.regs[wanted.frame] = 0;
        return wanted.leave();
    }
    wanted.remove(Reg::R0);
    if regs & ARGUMENTS != 0 {
        return Err(TooHard);
    }
    Ok(())
}

fn undo_exit(env: &Env<'_>, later: Option<u32>, wanted: &mut Wanted) -> Result<(), TooHard> {
    let to_callback_call =
        later.is_some_and(|l| env.aux.get(l as usize).is_some_and(|a| a.calls_callback));
    if to_callback_call {
        wanted.regs[wanted.frame] &= !ARGUMENTS;
    }
    if wanted.regs[wanted.frame] & ARGUMENTS != 0 {
        return Err(TooHard);
    }
    let from_call = later.and_then(|l| l.checked_sub(1)).is_some_and(|l| {
        matches!(
            env.program.call_target(l as usize),
            Some(CallTarget::Local(_))
        )
    });
    let result = from_call && wanted.has(Reg::R0);
    wanted.remove(Reg::R0);
    wanted.enter()?;
    if result {
        wanted.add(Reg::R0);
    }
    Ok(())
}
