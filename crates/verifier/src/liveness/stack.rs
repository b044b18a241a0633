//! Which stack slots are read later.
//!
//! The search records which slots each instruction reads on any path, and which it overwrites on
//! every path; liveness follows along the graph when a path has ended. The records are kept for
//! each chain of calls on its own, and for every frame of the chain: a function that is called from
//! two places reads other slots of its callers from each.

use alloc::{vec, vec::Vec};

use hashbrown::HashMap;

use super::Predecessors;
use crate::{program::Program, state::Frame};

/// Frames of a chain of calls (`MAX_CALL_FRAMES`).
const FRAMES: usize = 8;

/// A function as it is reached by one chain of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceId(u32);

/// Slots of the calls under way, outermost first, and the innermost function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Chain {
    calls: [u32; FRAMES],
    depth: u8,
    subprog: u32,
}

impl Chain {
    fn of<'f>(frames: impl ExactSizeIterator<Item = &'f Frame>) -> Chain {
        let mut chain = Chain {
            depth: (frames.len() - 1) as u8,
            ..Chain::default()
        };
        for (place, frame) in chain.calls.iter_mut().zip(frames) {
            *place = frame.call_slot;
            chain.subprog = frame.subprog;
        }
        chain
    }

    fn is<'f>(&self, frames: impl ExactSizeIterator<Item = &'f Frame>) -> bool {
        let depth = usize::from(self.depth);
        frames.len() == depth + 1
            && frames
                .zip(self.calls)
                .enumerate()
                .all(|(level, (f, call))| {
                    f.call_slot == call && (level < depth || f.subprog == self.subprog)
                })
    }

    /// The chain without its innermost call, and that call's slot.
    fn outer(&self, subprog: u32) -> Option<(Chain, u32)> {
        let last = usize::from(self.depth);
        let depth = self.depth.checked_sub(1)?;
        let mut outer = Chain {
            depth,
            subprog,
            ..*self
        };
        let call = core::mem::take(&mut outer.calls[last]);
        Some((outer, call))
    }
}

/// What an instruction does to one frame: a bit for each of its stack slots.
#[derive(Clone, Copy, Debug)]
struct Effect {
    /// Read on some path.
    reads: u64,
    /// Overwritten whole on every visit so far; all ones before the first.
    writes: u64,
    /// Read from here on.
    live: u64,
    /// Union of `live` over the successors.
    after: u64,
    /// Overwritten on every way from here to the function's end: kept for callers' frames.
    always: u64,
}

/// What the instructions of a function do to one frame.
#[derive(Debug)]
struct Masks {
    /// By slot from the function's first.
    effects: Vec<Effect>,
    /// Slots whose `reads` or `writes` have changed since the last update.
    changed: Vec<u32>,
}

/// What is known of an instruction in one chain of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Visited {
    /// No path came to it.
    Never,
    /// One did.
    Once,
    /// One did and overwrote nothing, in no frame: no later visit changes that.
    Idle,
}

/// A function in one chain of calls.
#[derive(Debug)]
struct Instance {
    chain: Chain,
    first: u32,
    len: u32,
    /// Who calls it, and where.
    outer: Option<(InstanceId, u32)>,
    visited: Vec<Visited>,
    masks: [Option<Masks>; FRAMES],
    /// Whether it waits for an update.
    queued: bool,
}

/// The records of all instances.
#[derive(Debug, Default)]
pub struct StackLiveness {
    predecessors: Predecessors,
    instances: Vec<Instance>,
    by_chain: HashMap<Chain, InstanceId>,
    queue: Vec<InstanceId>,
    work: Vec<u32>,
    /// The instance under way.
    current: InstanceId,
    /// What the instruction under way overwrites, by frame.
    overwritten: [u64; FRAMES],
    /// Whether that is anything.
    overwrites: bool,
}

impl Instance {
    fn masks_mut(&mut self, frame: usize) -> &mut Masks {
        let visited = &self.visited;
        self.masks[frame].get_or_insert_with(|| {
            let n = visited.len();
            let seen = (0..n as u32).filter(|&at| visited[at as usize] != Visited::Never);
            let effect = |&seen: &Visited| Effect {
                reads: 0,
                writes: if seen == Visited::Never { u64::MAX } else { 0 },
                live: 0,
                after: 0,
                always: u64::MAX,
            };
            Masks {
                effects: visited.iter().map(effect).collect(),
                changed: seen.collect(),
            }
        })
    }
}

impl Masks {
    /// Carries changes to all instructions from which they are reached.
    fn settle(
        &mut self,
        first: u32,
        predecessors: &Predecessors,
        program: &Program,
        is_callers: bool,
        work: &mut Vec<u32>,
    ) {
        let index = |slot: u32| (slot - first) as usize;
        if is_callers {
            work.extend(self.changed.iter().map(|at| at + first));
            while let Some(slot) = work.pop() {
                let (a, b) = program.successors(slot as usize);
                // A tail call may be the function's end.
                let goes_on = a.or(b).is_some() && !program.is_tail_call(slot as usize);
                let mut rest = if goes_on { u64::MAX } else { 0 };
                for to in [a, b].into_iter().flatten() {
                    let at = (to as u32).wrapping_sub(first) as usize;
                    rest &= self.effects.get(at).map_or(0, |e| e.always);
                }
                let effect = &mut self.effects[index(slot)];
                let always = effect.writes | rest;
                if always != effect.always {
                    effect.always = always;
                    predecessors.for_each(slot as usize, |p| work.push(p));
                }
            }
        }
        work.extend(self.changed.drain(..).map(|at| at + first));
        while let Some(slot) = work.pop() {
            let at = index(slot);
            let effect = &mut self.effects[at];
            let before = effect.reads | (effect.after & !effect.writes);
            if before == effect.live {
                continue;
            }
            effect.live = before;
            let effects = &mut self.effects;
            predecessors.for_each(slot as usize, |p| {
                let after = &mut effects[index(p)].after;
                let grown = *after | before;
                if grown != *after {
                    *after = grown;
                    work.push(p);
                }
            });
        }
    }
}

impl StackLiveness {
    /// Prepares the graph.
    pub(super) fn new(predecessors: Predecessors) -> StackLiveness {
        StackLiveness {
            predecessors,
            ..StackLiveness::default()
        }
    }

    /// The instructions that follow are of the innermost of these frames.
    pub fn enter<'f>(
        &mut self,
        program: &Program,
        frames: impl ExactSizeIterator<Item = &'f Frame> + Clone,
    ) {
        self.forget_overwritten();
        let known = self.instances.get(self.current.0 as usize);
        if known.is_none_or(|i| !i.chain.is(frames.clone())) {
            self.current = self.instance(program, Chain::of(frames.clone()), frames);
        }
    }

    fn instance<'f>(
        &mut self,
        program: &Program,
        chain: Chain,
        frames: impl ExactSizeIterator<Item = &'f Frame> + Clone,
    ) -> InstanceId {
        if let Some(&known) = self.by_chain.get(&chain) {
            return known;
        }
        let caller = frames.clone().nth(frames.len().wrapping_sub(2));
        let outer = caller
            .and_then(|f| chain.outer(f.subprog))
            .and_then(|(outer, call)| Some((*self.by_chain.get(&outer)?, call)));
        let sub = &program.subprograms[chain.subprog as usize];
        let id = InstanceId(self.instances.len() as u32);
        self.instances.push(Instance {
            chain,
            first: sub.start as u32,
            len: (sub.end - sub.start) as u32,
            outer,
            visited: vec![Visited::Never; sub.end - sub.start],
            masks: [const { None }; FRAMES],
            queued: false,
        });
        self.by_chain.insert(chain, id);
        // One that touches no stack must tell so, too: its call overwrites nothing.
        self.queue(id);
        id
    }

    /// The instance under way.
    pub fn current(&self) -> InstanceId {
        self.current
    }

    fn queue(&mut self, id: InstanceId) {
        let instance = &mut self.instances[id.0 as usize];
        if !instance.queued {
            instance.queued = true;
            self.queue.push(id);
        }
    }

    /// The instruction overwrites a whole slot of a frame.
    pub fn overwrite(&mut self, frame: usize, index: usize) {
        self.overwritten[frame % FRAMES] |= 1 << (index & 63);
        self.overwrites = true;
    }

    fn forget_overwritten(&mut self) {
        if self.overwrites {
            self.overwritten = [0; FRAMES];
            self.overwrites = false;
        }
    }

    /// The instruction at `slot`, in the instance where it began, is done: what it did not
    /// overwrite this time, it does not always.
    #[inline]
    pub fn end(&mut self, slot: usize) {
        if !self.overwrites {
            let instance = &self.instances[self.current.0 as usize];
            let at = (slot as u32).wrapping_sub(instance.first) as usize;
            if instance.visited.get(at) == Some(&Visited::Idle) {
                return;
            }
        }
        self.commit(self.current, slot as u32, self.overwritten);
        self.forget_overwritten();
    }

    fn commit(&mut self, id: InstanceId, slot: u32, overwritten: [u64; FRAMES]) {
        let instance = &mut self.instances[id.0 as usize];
        let at = slot.wrapping_sub(instance.first) as usize;
        let Some(seen) = instance.visited.get_mut(at) else {
            return;
        };
        let overwrites = overwritten != [0; FRAMES];
        *seen = if overwrites {
            (*seen).max(Visited::Once)
        } else {
            Visited::Idle
        };
        let mut changed = false;
        let frames = usize::from(instance.chain.depth) + 1;
        for (frame, overwritten) in overwritten.into_iter().enumerate().take(frames) {
            let masks = match &mut instance.masks[frame] {
                Some(masks) => masks,
                None if overwritten == 0 => continue,
                None => instance.masks_mut(frame),
            };
            let writes = &mut masks.effects[at].writes;
            let kept = *writes & overwritten;
            if kept != *writes {
                *writes = kept;
                masks.changed.push(at as u32);
                changed = true;
            }
        }
        if changed {
            self.queue(id);
        }
    }

    /// A slot of a frame is read by the instruction at `slot`.
    pub fn read(&mut self, slot: usize, frame: usize, index: usize) {
        self.add_reads(self.current, slot as u32, frame, 1 << (index & 63));
    }

    fn add_reads(&mut self, id: InstanceId, slot: u32, frame: usize, reads: u64) {
        let instance = &mut self.instances[id.0 as usize];
        let at = slot.wrapping_sub(instance.first);
        if reads == 0 || frame >= FRAMES || at >= instance.len {
            return;
        }
        let masks = instance.masks_mut(frame);
        let known = &mut masks.effects[at as usize].reads;
        if *known | reads != *known {
            *known |= reads;
            masks.changed.push(at);
            self.queue(id);
        }
    }

    /// A path has ended: works out again what has changed.
    pub fn update(&mut self, program: &Program) {
        while let Some(next) = self.deepest() {
            let id = self.queue.swap_remove(next);
            let instance = &mut self.instances[id.0 as usize];
            instance.queued = false;
            let (first, depth) = (instance.first, usize::from(instance.chain.depth));
            for (frame, masks) in instance.masks.iter_mut().enumerate() {
                if let Some(masks) = masks {
                    let is_callers = frame < depth;
                    masks.settle(
                        first,
                        &self.predecessors,
                        program,
                        is_callers,
                        &mut self.work,
                    );
                }
            }
            self.tell_caller(id);
        }
    }

    fn deepest(&self) -> Option<usize> {
        let depth = |id: &InstanceId| self.instances[id.0 as usize].chain.depth;
        let of_all = self.queue.iter().enumerate();
        of_all.max_by_key(|(_, id)| depth(id)).map(|(at, _)| at)
    }

    /// What a function reads and overwrites of its callers' frames, its call does.
    fn tell_caller(&mut self, id: InstanceId) {
        let instance = &self.instances[id.0 as usize];
        let Some((outer, call)) = instance.outer else {
            return;
        };
        let mut reads = [0; FRAMES];
        let mut overwritten = [0; FRAMES];
        for frame in 0..usize::from(instance.chain.depth) {
            if let Some(masks) = &instance.masks[frame] {
                let first = masks.effects.first();
                reads[frame] = first.map_or(0, |e| e.live);
                overwritten[frame] = first.map_or(0, |e| e.always);
            }
        }
        for (frame, reads) in reads.into_iter().enumerate() {
            self.add_reads(outer, call, frame, reads);
        }
        self.commit(outer, call, overwritten);
    }

    /// Slots of each frame that are read after the instruction at `slot` of an instance begins;
    /// `again` says of a call whether it may call once more when its callee returns.
    pub fn live_at(
        &self,
        id: InstanceId,
        slot: usize,
        again: impl Fn(usize) -> bool,
    ) -> [u64; FRAMES] {
        let mut live = [0; FRAMES];
        let mut next = Some((id, slot as u32));
        let mut before = true;
        while let Some((id, slot)) = next {
            let Some(instance) = self.instances.get(id.0 as usize) else {
                return [u64::MAX; FRAMES];
            };
            let at = slot.wrapping_sub(instance.first) as usize;
            let innermost = usize::from(instance.chain.depth) + 1;
            for (live, masks) in live.iter_mut().zip(&instance.masks).take(innermost) {
                if let Some(masks) = masks {
                    let effect = masks.effects.get(at);
                    *live |= effect.map_or(u64::MAX, |e| if before { e.live } else { e.after });
                }
            }
            next = instance.outer;
            before = next.is_some_and(|(_, call)| again(call as usize));
        }
        live
    }
}
