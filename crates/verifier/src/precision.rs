//! Which numbers matter exactly: when a verdict depends on a number, the instructions that made it
//! are walked backwards, and it is marked in every saved state on the way, so that pruning compares it.

mod segment;
mod undo;
mod walked;
mod wanted;

use alloc::string::String;

use panal_isa::Reg;

use self::{
    segment::Segment,
    wanted::{ARGUMENTS, TooHard, Wanted},
};
pub use self::{undo::registers_concerned, walked::Walked};
use crate::{
    bits::bits,
    env::Env,
    error::Check,
    explore::StateId,
    report,
    state::{NUMBERS, SlotType, StackSlot, State},
};

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
