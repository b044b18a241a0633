//! Which numbers matter exactly: when a verdict depends on a number, the instructions that made it
//! are walked backwards, and it is marked in every saved state on the way, so that pruning compares it.

use alloc::{string::String, vec::Vec};

use panal_isa::{AluOp, AtomicOp, CallTarget, Instruction, Operand, Reg};

use crate::{
    bits::bits,
    env::{Aux, Env},
    error::Check,
    explore::{HistoryEntry, HistoryRef, Linked, Place, StateId},
    report,
    state::{SlotType, StackSlot, State},
};

/// Registers and stack slots whose numbers are asked for, per frame.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    frame: usize,
    regs: [u16; 8],
    slots: [u64; 8],
}

/// The walk cannot say which numbers matter: all do.
struct TooHard;

const ARGUMENTS: u16 = 0b11_1110;
/// `r0` to `r9`.
const NUMBERS: u16 = 0b11_1111_1111;

impl Wanted {
    fn has(&self, reg: Reg) -> bool {
        self.regs[self.frame] & (1 << reg.number()) != 0
    }

    fn add(&mut self, reg: Reg) {
        if reg != Reg::R10 {
            self.regs[self.frame] |= 1 << reg.number();
        }
    }

    fn remove(&mut self, reg: Reg) {
        self.regs[self.frame] &= !(1 << reg.number());
    }

    fn is_empty(&self) -> bool {
        // Mostly something of the frame under way is wanted: the others need not be looked at.
        let here = u64::from(self.regs[self.frame]) | self.slots[self.frame];
        here == 0
            && self.regs.iter().fold(0, |any, regs| any | regs) == 0
            && self.slots.iter().fold(0, |any, slots| any | slots) == 0
    }

    /// The registers and slots of the frame under way, if nothing is wanted of others. (Nothing ever
    /// is of those further in.)
    fn only_here(&self) -> Option<(u16, u64)> {
        let mut outer = self.regs.iter().zip(&self.slots).take(self.frame);
        let here = (self.regs[self.frame & 7], self.slots[self.frame & 7]);
        outer
            .all(|(&regs, &slots)| regs == 0 && slots == 0)
            .then_some(here)
    }

    fn has_place(&self, place: Place) -> bool {
        let frame = usize::from(place.frame);
        if place.at < 16 {
            self.regs[frame] & (1 << place.at) != 0
        } else {
            self.slots[frame] & (1 << (place.at - 16)) != 0
        }
    }

    fn add_place(&mut self, place: Place) {
        let frame = usize::from(place.frame);
        if place.at < 16 {
            self.regs[frame] |= 1 << place.at;
        } else {
            self.slots[frame] |= 1 << (place.at - 16);
        }
    }

    /// Whether an instruction has to do with registers that are wanted.
    fn hangs_on_slot(&self, env: &Env<'_>, slot: u32) -> bool {
        let regs = env.precision_regs.get(slot as usize);
        regs.is_none_or(|regs| regs & (self.regs[self.frame & 7] | ANYTHING) != 0)
    }

    /// Whether what the history knows of an instruction may have to do with what is wanted.
    fn hangs_on(&self, entry: &HistoryEntry) -> bool {
        let stack = entry.stack.is_some_and(|(frame, index)| {
            self.slots[usize::from(frame & 7)] & (1 << (index & 63)) != 0
        });
        stack || entry.has_links()
    }

    /// When one of several linked numbers is wanted, all are.
    fn spread(&mut self, linked: &Linked) {
        if linked.iter().any(|p| self.has_place(p)) {
            linked.iter().for_each(|p| self.add_place(p));
        }
    }

    fn enter(&mut self) -> Result<(), TooHard> {
        if self.frame + 1 >= self.regs.len() {
            return Err(TooHard);
        }
        self.frame += 1;
        Ok(())
    }

    fn leave(&mut self) -> Result<(), TooHard> {
        if self.frame == 0 || self.slots[self.frame] != 0 {
            return Err(TooHard);
        }
        self.frame -= 1;
        Ok(())
    }
}

/// What earlier walks wanted before the instructions of some history entries: who wants no more than
/// that finds all marks made.
#[derive(Debug, Default)]
pub struct Walked {
    /// By the entry's low bits; made when first needed.
    by_entry: Vec<Option<WalkedBefore>>,
}

#[derive(Clone, Copy, Debug)]
struct WalkedBefore {
    entry: HistoryRef,
    frame: u8,
    regs: u16,
    slots: u64,
}

impl Walked {
    /// Twice as many as a segment has entries, mostly.
    const PLACES: usize = 128;

    /// Whether an earlier walk wanted all of this before the entry's instruction. If not, this one
    /// does.
    fn covers(&mut self, entry: Option<HistoryRef>, wanted: &Wanted) -> bool {
        let (Some(entry), Some((regs, slots))) = (entry, wanted.only_here()) else {
            return false;
        };
        if self.by_entry.is_empty() {
            self.by_entry.resize(Self::PLACES, None);
        }
        let place = &mut self.by_entry[entry.index() % Self::PLACES];
        let frame = wanted.frame as u8;
        match place {
            Some(known) if known.entry == entry && known.frame == frame => {
                let covers = regs & !known.regs == 0 && slots & !known.slots == 0;
                known.regs |= regs;
                known.slots |= slots;
                covers
            }
            _ => {
                *place = Some(WalkedBefore {
                    entry,
                    frame,
                    regs,
                    slots,
                });
                false
            }
        }
    }

    /// Forgets all of it: entries are made anew, or not all marks were.
    pub fn forget(&mut self) {
        self.by_entry.clear();
    }
}

/// The verdict depends on the number in this register of the innermost frame.
///
/// # Errors
/// An inconsistency in the verifier itself.
pub fn mark_reg(env: &mut Env<'_>, st: &State, reg: Reg) -> Check {
    if !st.reg(reg).is_scalar() || reg == Reg::R10 {
        return Ok(());
    }
    let mut wanted = Wanted {
        frame: st.level(),
        ..Wanted::default()
    };
    wanted.add(reg);
    let slot = env.slot;
    walk(env, st, slot, wanted);
    Ok(())
}

/// The verdict depends on the number spilled to this stack slot of a frame.
///
/// # Errors
/// An inconsistency in the verifier itself.
pub fn mark_slot(env: &mut Env<'_>, st: &State, frame: usize, index: usize) -> Check {
    let mut wanted = Wanted {
        frame: st.level(),
        ..Wanted::default()
    };
    wanted.slots[frame & 7] |= 1 << (index & 63);
    let slot = env.slot;
    walk(env, st, slot, wanted);
    Ok(())
}

/// What matters in a saved state matters in the state at `slot` that it covers. Whether that changed
/// any mark.
///
/// # Errors
/// An inconsistency in the verifier itself.
pub fn propagate(env: &mut Env<'_>, from: StateId, st: &State, slot: usize) -> Check<bool> {
    let saved = env.search.saved(from);
    let mut wanted = Wanted {
        frame: st.level(),
        ..Wanted::default()
    };
    for (level, (frame, precise)) in saved.state.frames.iter().zip(&saved.precise).enumerate() {
        // Once it is settled what of the state counts, nothing else is carried on.
        let (live, used) = match saved.used_slots.get(level) {
            Some(used) => {
                let inner = saved.state.frames.get(level + 1);
                let at = inner.map_or(saved.slot as usize, |f| f.call_slot() as usize);
                (env.aux[at].live_regs, used.all)
            }
            None => (u16::MAX, u64::MAX),
        };
        for number in bits(u64::from(precise.regs & live & NUMBERS)) {
            if frame.reg(number).is_scalar() {
                wanted.regs[level & 7] |= 1 << number;
            }
        }
        for index in bits(precise.slots & used) {
            let slot = frame.stack().get(index);
            if slot.is_some_and(StackSlot::is_spilled_scalar) {
                wanted.slots[level & 7] |= 1 << index;
            }
        }
    }
    if wanted.is_empty() {
        return Ok(false);
    }
    if env.log.level2() {
        for level in (0..=wanted.frame).rev() {
            report::log_propagated(env, level, wanted.regs[level], wanted.slots[level]);
        }
    }
    Ok(walk(env, st, slot, wanted))
}

/// Every number of every state on the way here matters.
pub fn mark_everything(env: &mut Env<'_>, st: &State) {
    let mut next = st.parent;
    while let Some(id) = next {
        let saved = env.search.saved_mut(id);
        if saved.all_precise {
            break;
        }
        saved.all_precise = true;
        for (frame, precise) in saved.state.frames.iter().zip(&mut saved.precise) {
            for number in 0..10 {
                if frame.reg(number).is_scalar() {
                    precise.regs |= 1 << number;
                }
            }
            for (index, slot) in frame.stack().spilled() {
                if slot.is_spilled_scalar() {
                    precise.slots |= 1 << index;
                }
            }
        }
        next = saved.state.parent;
    }
}

/// Walks back from `slot` (whose own instruction is not done yet). Whether any mark changed.
fn walk(env: &mut Env<'_>, st: &State, slot: usize, wanted: Wanted) -> bool {
    let mut walked = core::mem::take(&mut env.search.walked);
    let changed = walk_back(env, st, slot, wanted, &mut walked).unwrap_or_else(|TooHard| {
        // Who comes to the same places by another way has other states to mark.
        walked.forget();
        mark_everything(env, st);
        true
    });
    env.search.walked = walked;
    changed
}

/// The same.
///
/// # Errors
/// It is not known which numbers matter.
fn walk_back(
    env: &mut Env<'_>,
    st: &State,
    slot: usize,
    mut wanted: Wanted,
    walked: &mut Walked,
) -> Result<bool, TooHard> {
    let mut changed = false;
    let mut segment = Segment {
        last: slot as u32,
        first: st.first_slot,
        entry: st.history,
        trace: env.log.level2().then(String::new),
    };
    let mut parent = st.parent;
    let mut later = None;
    let mut skip = true;
    loop {
        report::log_segment(env, wanted.frame, segment.last, segment.first, later);
        let done = segment.walk(env, &mut wanted, later, skip, walked);
        if let Some(trace) = segment.trace.take() {
            env.log.write(format_args!("{trace}"));
        }
        if done? {
            return Ok(changed);
        }
        skip = false;
        let Some(id) = parent else { break };
        changed |= mark_state(env, id, &mut wanted);
        if env.log.level2() {
            for frame in (0..=wanted.frame).rev() {
                let (regs, slots) = (wanted.regs[frame], wanted.slots[frame]);
                report::log_marked(env, id, frame, regs, slots);
            }
        }
        if wanted.is_empty() {
            return Ok(changed);
        }
        let saved = &env.search.saved(id).state;
        later = Some(segment.first);
        if saved.last_slot == u32::MAX {
            // Entry of the main program or of a global one: its arguments came from outside.
            break;
        }
        segment = Segment {
            last: saved.last_slot,
            first: saved.first_slot,
            entry: saved.history,
            trace: env.log.level2().then(String::new),
        };
        parent = saved.parent;
    }
    let only_arguments = wanted.slots.iter().all(|&m| m == 0)
        && wanted.regs[0] & !ARGUMENTS == 0
        && wanted.regs[1..].iter().all(|&m| m == 0);
    if only_arguments {
        Ok(changed)
    } else {
        Err(TooHard)
    }
}

/// Marks what is wanted in a saved state; what is marked already, or no number, is no longer wanted.
fn mark_state(env: &mut Env<'_>, id: StateId, wanted: &mut Wanted) -> bool {
    let saved = env.search.saved_mut(id);
    let mut changed = false;
    for (level, (frame, precise)) in saved
        .state
        .frames
        .iter()
        .zip(&mut saved.precise)
        .enumerate()
        .take(8)
    {
        let mut regs = 0;
        for number in bits(u64::from(wanted.regs[level] & NUMBERS)) {
            if frame.reg(number).is_scalar() {
                regs |= 1 << number;
            }
        }
        wanted.regs[level] = regs & !precise.regs;
        precise.regs |= regs;
        let mut slots = 0;
        for index in bits(wanted.slots[level]) {
            let slot = frame.stack().get(index);
            if slot.is_some_and(StackSlot::is_spilled_scalar) {
                slots |= 1 << index;
            }
        }
        wanted.slots[level] = slots & !precise.slots;
        precise.slots |= slots;
        changed |= wanted.regs[level] != 0 || wanted.slots[level] != 0;
    }
    changed
}

/// The instructions between two saved states, from the last to the first.
struct Segment {
    last: u32,
    first: u32,
    entry: Option<HistoryRef>,
    /// What Linux logs of the walk, where that is wanted.
    trace: Option<String>,
}

/// A place on the way back through a segment.
#[derive(Clone, Copy)]
struct Step<'e> {
    /// The instruction.
    at: u32,
    /// The newest history entry that was not passed: of this instruction or of one before it.
    entry: Option<&'e HistoryEntry>,
    /// Which that is.
    entry_ref: Option<HistoryRef>,
    /// The instruction that was looked at before, which is run later.
    later: Option<u32>,
}

impl Segment {
    /// Whether nothing is wanted any more.
    fn walk(
        &mut self,
        env: &Env<'_>,
        wanted: &mut Wanted,
        later: Option<u32>,
        mut skip: bool,
        walked: &mut Walked,
    ) -> Result<bool, TooHard> {
        let mut step = Step {
            at: self.last,
            entry: self.entry.map(|entry| env.search.entry(entry)),
            entry_ref: self.entry,
            later,
        };
        loop {
            if let Some(trace) = &mut self.trace {
                let (regs, slots) = (wanted.regs[wanted.frame], wanted.slots[wanted.frame]);
                if !skip {
                    report::trace_step(env, trace, step.at, wanted.frame, regs, slots);
                }
            } else if !skip {
                step = step.pass_by(env, self.first, wanted);
            }
            let here = step.here();
            if !skip && step.concerns(env, here, wanted) {
                undo(env, step.at, step.later, here, wanted)?;
                let is_known =
                    here.is_some() && self.trace.is_none() && walked.covers(step.entry_ref, wanted);
                if is_known || wanted.is_empty() {
                    return Ok(true);
                }
            }
            skip = false;
            let next = match here {
                _ if step.at == self.first && step.is_oldest(here) => return Ok(false),
                Some(here) => here.previous,
                None => step.at.checked_sub(1).ok_or(TooHard)?,
            };
            if next == u32::MAX {
                return Ok(false);
            }
            step.back_to(env, next, here);
        }
    }
}

impl<'e> Step<'e> {
    /// What the history knows of the instruction.
    fn here(&self) -> Option<&'e HistoryEntry> {
        self.entry.filter(|entry| entry.slot == self.at)
    }

    /// Whether the history knows nothing of what comes before.
    fn is_oldest(&self, here: Option<&HistoryEntry>) -> bool {
        match here {
            Some(here) => here.earlier.is_none(),
            None => self.entry.is_none(),
        }
    }

    fn back_to(&mut self, env: &'e Env<'_>, at: u32, passed: Option<&HistoryEntry>) {
        self.later = Some(self.at);
        self.at = at;
        if let Some(passed) = passed {
            self.entry = passed.earlier.map(|earlier| env.search.entry(earlier));
            self.entry_ref = passed.earlier;
        }
    }

    /// Goes back over what changes nothing of what is wanted, to an instruction that may, or to the
    /// first of the segment.
    fn pass_by(mut self, env: &'e Env<'_>, first: u32, wanted: &Wanted) -> Step<'e> {
        // Instructions in a row, then the one of which the history knows something.
        loop {
            let stop = self.entry.map_or(first, |entry| entry.slot);
            while self.at > stop && !wanted.hangs_on_slot(env, self.at) {
                self.later = Some(self.at);
                self.at -= 1;
            }
            let Some(here) = self.here() else {
                return self;
            };
            let is_first = self.at == first && here.earlier.is_none();
            if is_first || here.previous == u32::MAX || self.concerns(env, Some(here), wanted) {
                return self;
            }
            self.back_to(env, here.previous, Some(here));
        }
    }

    /// Whether the instruction can change what is wanted: for most it is a look at the registers
    /// that it has to do with.
    fn concerns(&self, env: &Env<'_>, here: Option<&HistoryEntry>, wanted: &Wanted) -> bool {
        wanted.hangs_on_slot(env, self.at) || here.is_some_and(|here| wanted.hangs_on(here))
    }
}

/// In [`Env::precision_regs`]: whatever is wanted, the walk must look at it.
const ANYTHING: u16 = 1 << 15;

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
fn undo(
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

/// The known number in `size` bytes of stack at `off` from the frame pointer of `frame`, marked as
/// one that the verdict depends on; `None` where it is not known or cannot be marked.
///
/// # Errors
/// An inconsistency in the verifier itself.
pub fn constant_on_stack(
    env: &mut Env<'_>,
    st: &State,
    frame: usize,
    off: i32,
    size: u32,
) -> Check<Option<u64>> {
    let Some(index) = crate::state::slot_index(off) else {
        return Ok(None);
    };
    let Some(slot) = st
        .frames
        .get(frame)
        .and_then(|f| f.stack.get(index))
        .copied()
    else {
        return Ok(None);
    };
    let first = (-1 - off) as usize % 8;
    let run = |kind| {
        slot.types[..=first]
            .iter()
            .rev()
            .take_while(|&&t| t == kind)
            .count()
    };
    if run(SlotType::Zero) >= size as usize {
        return Ok(Some(0));
    }
    if !slot.is_spilled_scalar() || run(SlotType::Spill) != size as usize {
        return Ok(None);
    }
    let Some(value) = slot.reg.num.as_const() else {
        return Ok(None);
    };
    mark_slot(env, st, frame, index)?;
    Ok(Some(value))
}
