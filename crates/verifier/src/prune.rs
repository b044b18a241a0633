//! Pruning: a path that comes to a place with nothing that an earlier, finished path did not have
//! there needs no second walk.

use alloc::{rc::Rc, vec::Vec};

use smallvec::SmallVec;

use crate::{
    bits::bits,
    by_slot::{Digest, Listed},
    compare::{self, Exactness, Unfit},
    env::Env,
    error::{Check, reject},
    explore::{self, BackEdge, LoopKey, LoopVisit, Precise, Saved, StateId, record},
    precision,
    state::{IterState, KeptFrame, RegKind, RegState, SlotType, StackSlot, State},
};

/// What was found at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// Go on.
    New,
    /// An earlier path covers this one.
    Known,
}

/// Compares the state with those saved at `env.slot`, and saves it where that is worthwhile.
///
/// # Errors
/// The path came back to where it was: a loop without end.
pub fn visit(env: &mut Env<'_>, st: &mut State) -> Check<Visit> {
    let slot = env.slot;
    let force = env.test_state_freq || env.aux[slot].force_checkpoint || st.history_len > 40;
    let since_save = SinceSave {
        force,
        jumps: env.search.jumps - env.search.at_last_save.0,
        processed: env.search.processed - env.search.at_last_save.1,
    };
    let mut list = env.search.by_slot.take(slot);
    let compared = list.len() as u64;
    let found = look_up(env, st, &mut list, &since_save);
    env.search.by_slot.put_back(slot, list);
    let (save, digest) = match found? {
        Found::Known => return Ok(Visit::Known),
        Found::New { save, digest } => (save, digest),
    };
    env.search.max_states_per_slot = env.search.max_states_per_slot.max(compared);
    // Without CAP_BPF memory is spared, not time.
    const MOST_STATES: u64 = 64;
    if save && (env.is_capable() || compared <= MOST_STATES) {
        let digest = digest.unwrap_or_else(|| Digest::new(st.frame()));
        save_state(env, st, digest);
    }
    Ok(Visit::New)
}

/// What happened since a state was saved.
struct SinceSave {
    /// One must be saved now.
    force: bool,
    jumps: u64,
    processed: u64,
}

/// What a look at the saved states gave.
enum Found {
    /// One covers the path.
    Known,
    /// None does; whether the path's state is worth saving.
    New {
        save: bool,
        /// That of the path's innermost frame, where it was worked out.
        digest: Option<Digest>,
    },
}

/// Compares the state with those of a list, newest first. Those that are of no use are dropped.
fn look_up(
    env: &mut Env<'_>,
    st: &mut State,
    list: &mut Vec<Listed>,
    since_save: &SinceSave,
) -> Check<Found> {
    let &SinceSave {
        force,
        jumps,
        processed,
    } = since_save;
    let mut save = force || (jumps >= 2 && processed >= 8);
    if list.is_empty() {
        return Ok(Found::New { save, digest: None });
    }
    let slot = env.slot;
    let calls = env.liveness.current();
    let checkpoint = env.aux[slot].force_checkpoint;
    let digest = Digest::new(st.frame());
    for index in (0..list.len()).rev() {
        let listed = &mut list[index];
        let id = listed.id;
        if listed.calls != calls {
            continue;
        }
        let unfinished = env.search.branches(id) > 0;
        if !listed.settled && !unfinished {
            listed.settled = clean(env, id);
        }
        // A state that is not finished covers this one only if both are the same, or where rounds of
        // a loop converge.
        if !listed.is_other(st.frame(), &digest, unfinished && !checkpoint) {
            let scalars = listed.digest.both_scalars(&digest);
            let misfit = compare::misfit(env, id, st, scalars);
            let same_slot = listed.unfit_slot;
            if misfit.is_some() {
                listed.misfit = misfit;
            } else if same_slot.is_none_or(|slot| !compare::slot_differs(env, id, st, slot)) {
                match covers(env, id, st, scalars)? {
                    Ok(cover) => {
                        listed.hits += 1;
                        hit(env, id, st, cover)?;
                        return Ok(Found::Known);
                    }
                    Err(unfit) => listed.unfit_slot = unfit.slot.or(same_slot),
                }
            }
        }
        if unfinished && !force && jumps < 20 && processed < 100 {
            save = false;
        }
        let patience = if checkpoint && unfinished { 64 } else { 3 };
        listed.misses += u32::from(save);
        if listed.misses > listed.hits * patience + patience {
            list.remove(index);
            evict(env, id);
        }
    }
    let digest = Some(digest);
    Ok(Found::New { save, digest })
}

/// How a saved state covers the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cover {
    /// Whatever else is found out.
    Whole,
    /// On condition that what the saved state's loop still finds out is carried over.
    InLoop,
    /// On condition that its loop finds out nothing that makes the two differ.
    Provisional,
}

/// Whether a saved state covers the current one. `scalars`: registers that hold numbers in both.
///
/// Linux 6.18 takes no note of the rounds of a callback as a loop, and compares the states in them as
/// if they were finished. That prunes most, and is wrong where a later round makes a number matter:
/// so it is done here too, and looked at again when the loop is finished ([`leave_loop`]).
fn covers(env: &mut Env<'_>, id: StateId, st: &State, scalars: u16) -> Check<Result<Cover, Unfit>> {
    let slot = env.slot;
    if env.search.branches(id) == 0 {
        let (exactness, cover) = match unfinished_loop(env, id) {
            None => (Exactness::NotExact, Cover::Whole),
            Some(visit) if visit.by_callback => (Exactness::NotExact, Cover::Provisional),
            Some(_) => (Exactness::RangeWithin, Cover::InLoop),
        };
        return Ok(compare::states(env, id, st, exactness, scalars).map(|()| cover));
    }
    let old = &env.search.saved(id).state;
    let entries = old.frames[old.level()].async_entries();
    if entries.is_some_and(|entries| entries != st.frame().async_entries) {
        return Ok(Err(Unfit::OTHERWISE));
    }
    let aux = env.aux[slot];
    if aux.iter_next {
        let same = compare::states(env, id, st, Exactness::RangeWithin, scalars);
        let active = iterator_is_active(st).then_some(Cover::InLoop);
        return Ok(same.and(active.ok_or(Unfit::OTHERWISE)));
    }
    let may_goto_differs = env.search.saved(id).state.may_goto != st.may_goto;
    let is_may_goto = matches!(
        env.program.get(slot),
        Some(panal_isa::Instruction::MayGoto { .. })
    );
    if is_may_goto
        && may_goto_differs
        && compare::states(env, id, st, Exactness::RangeWithin, scalars).is_ok()
    {
        return Ok(Ok(Cover::InLoop));
    }
    if aux.calls_callback {
        let same = compare::states(env, id, st, Exactness::RangeWithin, scalars);
        return Ok(same.map(|()| Cover::InLoop));
    }
    let old = &env.search.saved(id).state;
    if !may_goto_differs
        && old.callback_unroll == st.callback_unroll
        && old.level() == st.level()
        && same_registers(old, st)
        && !iterator_depths_differ(old, st)
        && compare::states(env, id, st, Exactness::Exact, scalars).is_ok()
    {
        return Err(infinite_loop(env, id, st));
    }
    Ok(Err(Unfit::OTHERWISE))
}

/// Whether the innermost registers are the same. A state of which not all is kept is in no loop, and
/// never on the way here.
fn same_registers(old: &State<KeptFrame>, st: &State) -> bool {
    let old = old.frames[old.level()].whole();
    old.is_some_and(|old| old.regs == st.frame().regs)
}

#[cold]
fn infinite_loop(env: &mut Env<'_>, id: StateId, st: &State) -> crate::error::Reject {
    let slot = env.slot;
    let mut text = alloc::format!("infinite loop detected at insn {slot}\ncur state:");
    text.push_str(&crate::report::state_text(env, st));
    if let Some(old) = env.search.saved(id).state.whole() {
        text.push_str("\nold state:");
        text.push_str(&crate::report::state_text(env, &old));
    }
    reject!(InfiniteLoop, EINVAL, "{text}")
        .because("the loop comes back to this instruction with nothing changed: it may never end")
        .help("let the loop's condition depend on a counter that changes in each round")
}

fn hit(env: &mut Env<'_>, id: StateId, st: &mut State, cover: Cover) -> Check {
    if env.aux[env.slot].jump_target {
        record(env, st, None, Default::default());
    }
    let slot = env.slot;
    precision::propagate(env, id, st, slot)?;
    if cover != Cover::Whole
        && let Some(visit) = env.search.saved(id).in_loop
    {
        env.search.loops[visit as usize].back_edges.push(BackEdge {
            state: st.clone(),
            target: id,
            provisional: cover == Cover::Provisional,
        });
        crate::report::log_loop(env, "backedge", visit);
    }
    Ok(())
}

fn save_state(env: &mut Env<'_>, st: &mut State, digest: Digest) {
    let slot = env.slot;
    let id = StateId(env.search.saved.len() as u32);
    let precise = smallvec::smallvec![Precise::default(); st.frames.len()];
    let in_loop = visit_of_loop(env, st, id);
    let instance = env.liveness.current();
    // States of loops are asked whether all is the same, and Linux's log prints all.
    let in_part = in_loop.is_none() && !env.log.on() && env.witness.is_none();
    let live = in_part.then(|| env.aux[slot].live_regs);
    env.search.saved.push(Saved {
        state: st.keep(live),
        slot: slot as u32,
        precise,
        all_precise: false,
        used_slots: SmallVec::new(),
        evicted: false,
        instance,
        in_loop,
    });
    env.search.branches.push(1);
    let listed = Listed::new(id, instance, digest, env.aux[slot].live_regs);
    env.search.by_slot.push(slot, listed);
    env.search.total_states += 1;
    env.search.held_states += 1;
    env.search.peak_states = env.search.peak_states.max(env.search.held_states);
    env.search.at_last_save = (env.search.jumps, env.search.processed);
    st.parent = Some(id);
    st.first_slot = slot as u32;
    st.history = None;
    st.history_len = 0;
    // The entry of this instruction, made before, belongs to the segment that ends here.
    env.search.current_entry = None;
    st.depth += 1;
}

/// The loop that a state about to be saved is in; it is the loop's entry if none is known.
fn visit_of_loop(env: &mut Env<'_>, st: &State, id: StateId) -> Option<u32> {
    let (key, by_callback) = loop_key(env, st, env.slot)?;
    let search = &mut env.search;
    let next = search.loops.len() as u32;
    let visit = *search.loop_at.entry(key).or_insert(next);
    if visit == next {
        search.loops.push(LoopVisit {
            key,
            by_callback,
            ..LoopVisit::default()
        });
    }
    let entry = &mut search.loops[visit as usize].entry;
    if entry.is_none() {
        *entry = Some(id);
        crate::report::log_loop(env, "enter", visit);
    }
    Some(visit)
}

/// The state is no longer compared with.
fn evict(env: &mut Env<'_>, id: StateId) {
    env.search.saved_mut(id).evicted = true;
    env.search.held_states -= 1;
    drop_if_useless(env, id);
}

/// Frees the frames of a state that nobody compares with or walks back through.
fn drop_if_useless(env: &mut Env<'_>, id: StateId) {
    let evicted = env.search.saved(id).evicted;
    if evicted && env.search.branches(id) == 0 && !is_unfinished_loop(env, id) {
        let saved = env.search.saved_mut(id);
        saved.state.frames.clear();
        saved.precise.clear();
    }
}

/// The path ended: its ancestors have one branch less to wait for.
///
/// # Errors
/// An inconsistency in the verifier itself.
pub fn finish_path(env: &mut Env<'_>, st: &State) -> Check {
    env.liveness.update(&env.program);
    let mut next = st.parent;
    while let Some(id) = next {
        let branches = env.search.branches_mut(id);
        *branches = branches.saturating_sub(1);
        if *branches != 0 {
            break;
        }
        next = env.search.saved(id).state.parent;
        if leave_loop(env, id)? == Left::NotYet {
            break;
        }
        drop_if_useless(env, id);
    }
    Ok(())
}

/// Which loop a state is in, by the outermost frame that stands in one, and whether that is one only
/// because of a callback.
fn loop_key(env: &Env<'_>, st: &State, slot: usize) -> Option<(LoopKey, bool)> {
    let mut key = LoopKey::default();
    for level in 0..st.frames.len() {
        let at = st
            .frames
            .get(level + 1)
            .map_or(slot, |f| f.call_slot as usize);
        let aux = env.aux.get(at)?;
        if aux.scc != 0 {
            key.component = aux.scc;
            key.depth = level as u8;
            return Some((key, aux.loops_by_callback));
        }
        *key.calls.get_mut(level)? = at as u32;
    }
    None
}

fn is_unfinished_loop(env: &Env<'_>, id: StateId) -> bool {
    unfinished_loop(env, id).is_some()
}

fn unfinished_loop<'e>(env: &'e Env<'_>, id: StateId) -> Option<&'e LoopVisit> {
    let visit = &env.search.loops[env.search.saved(id).in_loop? as usize];
    (!visit.back_edges.is_empty()).then_some(visit)
}

/// Whether a loop was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Done,
    /// Paths that had ended in it go on.
    NotYet,
}

/// When the state through which a loop was entered is finished, all of the loop is known: carries
/// precision along its back edges until nothing changes, and takes up again the paths that ended on
/// a condition that does not hold.
fn leave_loop(env: &mut Env<'_>, id: StateId) -> Check<Left> {
    let Some(number) = env.search.saved(id).in_loop else {
        return Ok(Left::Done);
    };
    let visit = &mut env.search.loops[number as usize];
    if visit.entry != Some(id) {
        return Ok(Left::Done);
    }
    let edges = core::mem::take(&mut visit.back_edges);
    crate::report::log_loop(env, "exit", number);
    let visit = &env.search.loops[number as usize];
    let settled = match visit.by_callback {
        false => carry_precision(env, &edges)?,
        // Linux's log has nothing of it.
        true => {
            let level = env.log.silence();
            let settled = carry_precision(env, &edges);
            env.log.resume(level);
            settled?
        }
    };
    let (kept, broken): (Vec<BackEdge>, Vec<BackEdge>) = edges.into_iter().partition(|edge| {
        let BackEdge { state, target, .. } = edge;
        !edge.provisional
            || settled && compare::states(env, *target, state, Exactness::NotExact, 0).is_ok()
    });
    let visit = &mut env.search.loops[number as usize];
    if broken.is_empty() {
        visit.entry = None;
        return Ok(Left::Done);
    }
    visit.back_edges = kept;
    visit.by_callback &= settled;
    for BackEdge { state, target, .. } in broken {
        let slot = env.search.saved(target).slot as usize;
        explore::revive(env, state, slot, id)?;
    }
    Ok(Left::NotYet)
}

/// False when there was no end of changes, and every number was taken for one that matters.
fn carry_precision(env: &mut Env<'_>, edges: &[BackEdge]) -> Check<bool> {
    const ROUNDS: u32 = 64;
    for _ in 0..ROUNDS {
        let mut changed = false;
        for BackEdge { state, target, .. } in edges {
            let slot = env.search.saved(*target).slot as usize;
            changed |= precision::propagate(env, *target, state, slot)?;
        }
        if !changed {
            return Ok(true);
        }
    }
    for edge in edges {
        precision::mark_everything(env, &edge.state);
    }
    Ok(false)
}

fn same_calls(old: &State<KeptFrame>, st: &State) -> bool {
    old.frames.len() == st.frames.len()
        && old
            .frames
            .iter()
            .zip(&st.frames)
            .all(|(a, b)| a.is_of_call(b))
}

/// Settles which stack slots of a finished state count; whether that could be done.
fn clean(env: &mut Env<'_>, id: StateId) -> bool {
    if env.search.branches(id) != 0 || is_unfinished_loop(env, id) {
        return false;
    }
    let saved = env.search.saved(id);
    let slot = saved.slot as usize;
    let live_slots = env.liveness.live_at(saved.instance, slot, |call| {
        env.aux.get(call).is_some_and(|aux| aux.calls_callback)
    });
    let frames = saved.state.frames.iter().zip(live_slots);
    let used = frames
        .map(|(frame, live)| frame.stack().used(live))
        .collect();
    env.search.saved_mut(id).used_slots = used;
    true
}

/// Whether the iterator that `r1` points to is not drained.
fn iterator_is_active(st: &State) -> bool {
    let reg = &st.frame().regs[1];
    let RegKind::Stack { frame } = reg.kind else {
        return false;
    };
    let Some(base) = reg.num.as_const() else {
        return false;
    };
    let off = reg.off.wrapping_add(base as i32);
    let slot = st.frames.get(usize::from(frame)).and_then(|f| f.slot(off));
    matches!(
        slot,
        Some(StackSlot {
            reg: RegState {
                kind: RegKind::Iter {
                    state: IterState::Active,
                    ..
                },
                ..
            },
            ..
        })
    )
}

/// Whether an active iterator went on since the old state: then coming back is no endless loop.
fn iterator_depths_differ(old: &State<KeptFrame>, st: &State) -> bool {
    old.frames.iter().zip(&st.frames).any(|(a, b)| {
        a.stack().iter().zip(b.stack.iter()).any(|(x, y)| {
            if x.types[0] != SlotType::Iter {
                return false;
            }
            match (x.reg.kind, y.reg.kind) {
                (
                    RegKind::Iter {
                        state: IterState::Active,
                        depth: d,
                        ..
                    },
                    RegKind::Iter { depth: e, .. },
                ) => d != e,
                _ => false,
            }
        })
    })
}

/// The newest saved state of this path at `slot` with the same calls under way: where a loop was
/// when it came here the last time.
pub fn previous_visit(env: &Env<'_>, st: &State, slot: usize) -> Option<StateId> {
    // At the instruction itself, the newest saved state is of this very visit.
    let newest = match st.parent {
        Some(parent) if slot == env.slot => env.search.saved(parent).state.depth,
        _ => st.depth,
    };
    env.search
        .by_slot
        .at(slot)
        .iter()
        .rev()
        .map(|listed| listed.id)
        .filter(|&id| env.search.branches(id) > 0)
        .find(|&id| {
            let saved = env.search.saved(id);
            saved.state.depth < newest && same_calls(&saved.state, st)
        })
}

/// Forgets numbers that changed since the last round and do not matter exactly, so that a loop whose
/// end the rules guarantee comes to a state that it had before.
pub fn widen(env: &Env<'_>, previous: StateId, st: &mut State) {
    let saved = env.search.saved(previous);
    for level in 0..st.frames.len().min(saved.state.frames.len()) {
        let old = &saved.state.frames[level];
        let precise = saved.precise.get(level).copied().unwrap_or_default();
        let frame = Rc::make_mut(&mut st.frames[level]);
        for number in 0..10 {
            if precise.regs & (1 << number) == 0 {
                widen_reg(old.reg(number), &mut frame.regs[number]);
            }
        }
        for index in bits(frame.stack.spilled_where(RegState::is_scalar) & !precise.slots) {
            let a = &old.stack()[index];
            if a.is_spilled()
                && let Some(slot) = frame.stack.get_mut(index)
            {
                widen_reg(&a.reg, &mut slot.reg);
            }
        }
    }
}

fn widen_reg(old: &RegState, new: &mut RegState) {
    if old.is_scalar() && new.is_scalar() && (old.num != new.num || (old.id == 0) != (new.id == 0))
    {
        *new = RegState::UNKNOWN;
    }
}
