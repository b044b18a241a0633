//! The search: one path at a time, depth first, with the branches that wait on a stack.

use alloc::vec::Vec;
use core::num::NonZeroU32;

use hashbrown::HashMap;
use panal_uapi::Errno;
use smallvec::SmallVec;

use crate::{
    by_slot::BySlot,
    chunks::Chunks,
    env::Env,
    error::{Check, reject},
    liveness::InstanceId,
    precision::Walked,
    prune::{self, Visit},
    state::{KeptFrame, State, UsedSlots},
    transfer::{self, Flow},
};

/// A saved state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateId(pub u32);

/// Newest entry of a path's history: one more than its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HistoryRef(NonZeroU32);

impl HistoryRef {
    /// That of the entry with this index.
    pub fn new(index: usize) -> Option<HistoryRef> {
        NonZeroU32::new(index as u32 + 1).map(HistoryRef)
    }

    /// Its index.
    pub fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Which numbers of a frame matter exactly: a bit per register and per stack slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Precise {
    /// `r0` to `r9`.
    pub regs: u16,
    /// Stack slots that hold a spilled register.
    pub slots: u64,
}

/// A state that was saved, to prune paths that come here with nothing new.
#[derive(Debug)]
pub struct Saved {
    /// The state; without frames when it was dropped.
    pub state: State<KeptFrame>,
    /// Where.
    pub slot: u32,
    /// Per frame.
    pub precise: SmallVec<[Precise; 1]>,
    /// Every number is precise, in the states before it too.
    pub all_precise: bool,
    /// Per frame, once that is settled: the stack slots that count. The others are as if they had
    /// never been written. Empty before.
    pub used_slots: SmallVec<[UsedSlots; 2]>,
    /// It is no longer compared with.
    pub evicted: bool,
    /// The chain of calls under way, for liveness.
    pub instance: InstanceId,
    /// The loop that it is in: index into [`Search::loops`].
    pub in_loop: Option<u32>,
}

/// An entry of a path's history: a jump, an access to the stack, or registers with linked numbers.
#[derive(Clone, Copy, Debug)]
pub struct HistoryEntry {
    /// The instruction.
    pub slot: u32,
    /// The one before it on the path.
    pub previous: u32,
    /// The stack slot that it accesses: (frame, index).
    pub stack: Option<(u8, u8)>,
    /// Which of [`Search::linked`] were linked to its operands: one more than the index, as most
    /// have none.
    linked: Option<NonZeroU32>,
    /// The entry before this one.
    pub earlier: Option<HistoryRef>,
}

impl HistoryEntry {
    /// Whether anything was linked to its operands.
    pub fn has_links(&self) -> bool {
        self.linked.is_some()
    }
}

/// A register or stack slot of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Frame.
    pub frame: u8,
    /// Register number, or 16 plus the index of a stack slot.
    pub at: u8,
}

/// Up to six places whose numbers are linked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    places: [Option<Place>; 6],
    len: u8,
}

impl Linked {
    /// Adds a place; false when there is no room.
    pub fn push(&mut self, place: Place) -> bool {
        let Some(free) = self.places.get_mut(usize::from(self.len)) else {
            return false;
        };
        *free = Some(place);
        self.len += 1;
        true
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Place> + '_ {
        self.places.iter().flatten().copied()
    }
}

/// A branch that waits.
#[derive(Debug)]
pub struct Pending {
    /// The state there.
    pub state: State,
    /// Slot to go on at.
    pub slot: usize,
    /// Slot of the instruction that came before.
    pub previous: usize,
    /// Length of the log at that point.
    pub log_len: usize,
}

/// Which loop, on which chain of calls: call slots of the frames outside, and the component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LoopKey {
    /// Slots of calls, outermost first.
    pub calls: [u32; 8],
    /// How many.
    pub depth: u8,
    /// Number of the component.
    pub component: u32,
}

/// A loop under way, on one chain of calls.
#[derive(Debug, Default)]
pub struct LoopVisit {
    /// Which.
    pub key: LoopKey,
    /// The saved state through which it was entered.
    pub entry: Option<StateId>,
    /// A helper that calls back is all of it.
    pub by_callback: bool,
    /// Paths that ended because they came to a state of the loop that is itself not finished: what
    /// becomes precise there must become so on these paths too.
    pub back_edges: Vec<BackEdge>,
}

/// A path that ended at a state of a loop that is not finished.
#[derive(Clone, Debug)]
pub struct BackEdge {
    /// Its end.
    pub state: State,
    /// The state that it came to.
    pub target: StateId,
    /// Whether the target covers it only if no more numbers turn out to matter.
    pub provisional: bool,
}

/// The search's memory.
#[derive(Debug, Default)]
pub struct Search {
    /// Branches that wait, newest last.
    pub pending: Vec<Pending>,
    /// Saved states.
    pub saved: Chunks<Saved>,
    /// Per saved state: paths from there that are not finished. Apart, as it is asked of many of which
    /// nothing else is.
    pub branches: Vec<u32>,
    /// Those that are compared with.
    pub by_slot: BySlot,
    /// All histories.
    pub history: Chunks<HistoryEntry>,
    /// What entries of them say was linked.
    linked: Chunks<Linked>,
    /// Walks back along them that were done.
    pub walked: Walked,
    /// The entry made for the instruction under way.
    pub current_entry: Option<HistoryRef>,
    /// Loops that were come to.
    pub loops: Vec<LoopVisit>,
    /// Which of them, by where.
    pub loop_at: HashMap<LoopKey, u32>,
    /// Scratch: ids of an old state and those that stand for them in the current one.
    pub ids: Vec<(u32, u32)>,
    /// Instructions processed.
    pub processed: u64,
    /// Jumps processed.
    pub jumps: u64,
    /// Both, when the newest state was saved.
    pub at_last_save: (u64, u64),
    /// States saved in all.
    pub total_states: u64,
    /// States held now, and at most.
    pub held_states: u64,
    /// See `held_states`.
    pub peak_states: u64,
    /// Most states compared at one slot.
    pub max_states_per_slot: u64,
}

impl Search {
    /// A saved state.
    pub fn saved(&self, id: StateId) -> &Saved {
        &self.saved[id.0 as usize]
    }

    /// The same, to change it.
    pub fn saved_mut(&mut self, id: StateId) -> &mut Saved {
        &mut self.saved[id.0 as usize]
    }

    /// Paths from a saved state that are not finished.
    #[inline]
    pub fn branches(&self, id: StateId) -> u32 {
        self.branches[id.0 as usize]
    }

    /// The same, to change it.
    #[inline]
    pub fn branches_mut(&mut self, id: StateId) -> &mut u32 {
        &mut self.branches[id.0 as usize]
    }

    /// A history entry.
    pub fn entry(&self, entry: HistoryRef) -> &HistoryEntry {
        &self.history[entry.index()]
    }

    /// Registers and slots that were linked to an entry's operands, six at most.
    pub fn linked(&self, entry: &HistoryEntry) -> Option<&Linked> {
        entry.linked.map(|at| &self.linked[at.get() as usize - 1])
    }

    fn link(&mut self, entry: HistoryRef, linked: Linked) {
        if linked.len() != 0 {
            self.linked.push(linked);
            self.history[entry.index()].linked = NonZeroU32::new(self.linked.len() as u32);
        }
    }

    /// Forgets what belongs to one subprogram's verification; counters stay.
    pub fn restart(&mut self, slots: usize) {
        self.pending.clear();
        self.saved.clear();
        self.branches.clear();
        self.by_slot = BySlot::new(slots);
        self.history.clear();
        self.linked.clear();
        self.walked.forget();
        self.loops.clear();
        self.loop_at.clear();
        self.current_entry = None;
    }
}

/// Records the instruction under way in the path's history, or adds to what is recorded of it.
pub fn record(env: &mut Env<'_>, st: &mut State, stack: Option<(u8, u8)>, linked: Linked) {
    let slot = env.slot as u32;
    if let Some(current) = env.search.current_entry {
        let entry = &mut env.search.history[current.index()];
        entry.stack = entry.stack.or(stack);
        env.search.link(current, linked);
        return;
    }
    let entry = HistoryEntry {
        slot,
        previous: env.previous as u32,
        stack,
        linked: None,
        earlier: st.history,
    };
    let here = HistoryRef::new(env.search.history.len());
    env.search.history.push(entry);
    st.history = here;
    st.history_len += 1;
    env.search.current_entry = here;
    if let Some(here) = here {
        env.search.link(here, linked);
    }
}

/// Explores a second outcome of the instruction at `env.slot` later: a copy of the state goes on at
/// `slot`. The copy may be changed.
///
/// # Errors
/// Too many branches wait.
pub fn push_branch<'e>(env: &'e mut Env<'_>, st: &State, slot: usize) -> Check<&'e mut State> {
    push_state(env, st.clone(), slot)
}

/// As [`push_branch`], with a state of one's own.
///
/// # Errors
/// Too many branches wait.
pub fn push_state<'e>(env: &'e mut Env<'_>, state: State, slot: usize) -> Check<&'e mut State> {
    let limit = env.request.profile.limits.jump_sequence as usize;
    if env.search.pending.len() >= limit {
        let jumps = env.search.pending.len() + 1;
        return Err(reject!(
            TooComplex,
            // As Linux answers, however odd.
            EFAULT,
            "The sequence of {jumps} jumps is too complex."
        ));
    }
    if let Some(parent) = state.parent {
        *env.search.branches_mut(parent) += 1;
    }
    let (previous, log_len) = (env.slot, env.log.len());
    env.search.pending.push(Pending {
        state,
        slot,
        previous,
        log_len,
    });
    match env.search.pending.last_mut() {
        Some(pending) => Ok(&mut pending.state),
        None => Err(reject!(TooComplex, EFAULT, "no branch")),
    }
}

/// Takes up again a path that had ended in a loop too early: what its end was compared with turned
/// out not to cover it. `entry` is where the loop, which is not finished then, was entered.
///
/// # Errors
/// Too many branches wait.
pub fn revive(env: &mut Env<'_>, state: State, slot: usize, entry: StateId) -> Check {
    let parent = state.parent;
    let previous = state.last_slot as usize;
    push_state(env, state, slot)?;
    if let Some(pending) = env.search.pending.last_mut() {
        pending.previous = previous;
    }
    if let Some(recorder) = &mut env.recorder {
        recorder.revive();
    }
    // The path's ancestors are under way again, up to the entry.
    let mut finished = parent.filter(|&id| id != entry);
    while let Some(id) = finished {
        if env.search.branches(id) != 1 {
            break;
        }
        let next = env.search.saved(id).state.parent;
        if let Some(next) = next {
            *env.search.branches_mut(next) += 1;
        }
        finished = next.filter(|&id| id != entry);
    }
    Ok(())
}

/// The same for the next round of an iterator: numbers that changed since the last round and whose
/// value does not matter so far are widened, so that the loop converges.
///
/// # Errors
/// Too many branches wait.
pub fn push_iteration<'e>(env: &'e mut Env<'_>, st: &State, slot: usize) -> Check<&'e mut State> {
    let mut next = st.clone();
    if let Some(previous) = prune::previous_visit(env, st, env.slot) {
        prune::widen(env, previous, &mut next);
    }
    push_state(env, next, slot)
}

/// Explores every path from `slot`.
///
/// # Errors
/// The first violation found.
pub fn run(env: &mut Env<'_>, mut st: State, slot: usize) -> Check {
    env.slot = slot;
    env.previous = usize::MAX;
    env.frames_changed = true;
    let mut print_state = true;
    loop {
        let flow = match (&env.recorder, &env.witness) {
            (None, None) => path_step(env, &mut st, &mut print_state)?,
            (Some(_), _) => recorded_step(env, &mut st, &mut print_state)?,
            (None, Some(_)) => witnessed_step(env, &mut st, &mut print_state)?,
        };
        match flow {
            Flow::To(next) => {
                env.previous = env.slot;
                env.slot = next;
            }
            Flow::End => {
                prune::finish_path(env, &st)?;
                let Some(pending) = env.search.pending.pop() else {
                    return Ok(());
                };
                st = pending.state;
                if let Some(recorder) = &mut env.recorder {
                    recorder.resume(&st);
                }
                env.slot = pending.slot;
                env.previous = pending.previous;
                env.frames_changed = true;
                env.log.back_to(pending.log_len);
                print_state = true;
            }
        }
    }
}

/// The same step when a rejection is walked again, to be explained.
#[cold]
fn recorded_step(env: &mut Env<'_>, st: &mut State, print_state: &mut bool) -> Check<Flow> {
    let before = st.clone();
    let slot = env.slot as u32;
    let flow = path_step(env, st, print_state);
    let waiting = env.search.pending.len();
    if let Some(recorder) = &mut env.recorder {
        match &flow {
            Ok(_) => recorder.step(slot, before, st, waiting),
            Err(_) => recorder.fail(before),
        }
    }
    flow
}

/// The same step when all that is known is noted.
#[cold]
fn witnessed_step(env: &mut Env<'_>, st: &mut State, print_state: &mut bool) -> Check<Flow> {
    let slot = env.slot;
    let live = env.aux.get(slot).map_or(0, |aux| aux.live_regs);
    if let Some(witness) = &mut env.witness {
        witness.note(slot, live, st);
    }
    path_step(env, st, print_state)
}

/// Since 6.17 a mispredicted path that would do harm is no reason to refuse the program: a barrier
/// keeps processors from walking it.
fn stop_at_barrier(env: &mut Env<'_>, flow: Check<Flow>) -> Check<Flow> {
    let slot = env.slot;
    match flow {
        Err(reject) if matches!(reject.errno(), Errno::EPERM | Errno::EACCES | Errno::EINVAL) => {
            env.aux[slot].barrier = true;
            env.alu_limits.remove(&(slot as u32));
            Ok(Flow::End)
        }
        Ok(_) if env.aux[slot].barrier_after => Ok(Flow::End),
        flow => flow,
    }
}

#[inline]
fn path_step(env: &mut Env<'_>, st: &mut State, print_state: &mut bool) -> Check<Flow> {
    let flow = walk_step(env, st, print_state);
    if st.speculative && env.has_barriers() {
        return stop_at_barrier(env, flow);
    }
    flow
}

#[inline]
fn walk_step(env: &mut Env<'_>, st: &mut State, print_state: &mut bool) -> Check<Flow> {
    let slot = env.slot;
    env.search.current_entry = None;
    let Some(&instruction) = env.program.get(slot) else {
        return Err(reject!(ControlFlow, EFAULT, "invalid insn idx {slot}"));
    };
    env.search.processed += 1;
    if env.search.processed > env.request.profile.limits.processed {
        let n = env.search.processed;
        return Err(reject!(
            TooComplex,
            E2BIG,
            "BPF program is too large. Processed {n} insn"
        )
        .because("the program has too many paths, or loops that run too long")
        .help(
            "bound loops more tightly, or move their bodies to a global function or bpf_loop()",
        ));
    }
    st.last_slot = env.previous as u32;
    let (prune_point, jump_target) = {
        let aux = &env.aux[slot];
        (aux.prune_point, aux.jump_target)
    };
    if env.frames_changed {
        env.frames_changed = false;
        env.liveness
            .enter(&env.program, st.frames.iter().map(|f| &**f));
    }
    if prune_point && prune::visit(env, st)? == Visit::Known {
        crate::report::log_safe(env, *print_state);
        return Ok(Flow::End);
    }
    if jump_target {
        record(env, st, None, Linked::default());
    }
    if st.speculative && env.aux[slot].barrier {
        return Ok(Flow::End);
    }
    env.aux[slot].seen |= !st.speculative;
    env.facts.muted = st.speculative;
    if env.log.on() {
        crate::report::log_step(env, st, *print_state);
    }
    *print_state = false;
    env.program.check_reached(slot)?;
    let level = st.level();
    let flow = transfer::step(env, st, &instruction)?;
    env.frames_changed = st.level() != level;
    // A call does to the stack what its callee does.
    if st.level() <= level {
        env.liveness.end(slot);
    }
    Ok(flow)
}
