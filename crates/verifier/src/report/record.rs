//! The path that failed, recorded on a second walk: the first is not slowed by it.
//!
//! The search is deterministic, so the second walk fails in the same place. What is recorded is
//! what each instruction changed; where a branch that waited is resumed, the record goes back to it.

use alloc::{boxed::Box, rc::Rc, vec::Vec};

use crate::{
    Request,
    env::{Env, Log},
    explore::Place,
    program::Program,
    state::{Frame, RegState, SlotType, StackSlot, State},
    verify,
};

/// Steps at the start of a path that are never dropped.
const HEAD: usize = 20_000;
/// Steps that are held at most: beyond them the middle of the path is dropped.
const LIMIT: usize = 60_000;
/// Where more instructions were processed than this, only the path is recorded, not what changed.
const DETAILED: u64 = 250_000;

/// A register or stack slot that an instruction changed. A register has its value in `reg`.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which.
    pub place: Place,
    /// Its value before.
    pub before: StackSlot,
    /// Its value after.
    pub after: StackSlot,
}

/// An instruction of the path.
#[derive(Clone, Debug)]
pub struct Step {
    /// Slot.
    pub slot: u32,
    /// Frame in which it ran.
    pub level: u8,
    /// What it changed in frames that were there before and after.
    pub changes: Vec<Change>,
}

impl Step {
    /// What it changed of a place.
    pub fn change(&self, place: Place) -> Option<&Change> {
        self.changes.iter().find(|c| c.place == place)
    }
}

/// The path so far, and where the branches that wait leave it.
#[derive(Debug, Default)]
pub struct Recorder {
    steps: Vec<Step>,
    dropped: usize,
    marks: Vec<Mark>,
    detailed: bool,
    fault: Option<State>,
}

#[derive(Clone, Debug)]
struct Mark {
    length: usize,
    slot: u32,
    before: State,
}

impl Recorder {
    /// A walk begins: of the program, or of a function that is verified on its own.
    pub fn start(&mut self) {
        self.steps.clear();
        self.marks.clear();
        self.dropped = 0;
    }

    /// An instruction was done; so many branches wait now.
    pub fn step(&mut self, slot: u32, before: State, after: &State, waiting: usize) {
        while self.marks.len() < waiting {
            self.marks.push(Mark {
                length: self.dropped + self.steps.len(),
                slot,
                before: before.clone(),
            });
        }
        self.push(slot, &before, after);
    }

    /// The newest branch that waited goes on with this state.
    pub fn resume(&mut self, state: &State) {
        let Some(mark) = self.marks.pop() else {
            return;
        };
        if mark.length <= HEAD {
            self.steps.truncate(mark.length);
            self.dropped = 0;
        } else if mark.length < HEAD + self.dropped {
            self.steps.truncate(HEAD);
            self.dropped = mark.length - HEAD;
        } else {
            self.steps.truncate(mark.length - self.dropped);
        }
        self.push(mark.slot, &mark.before, state);
    }

    /// A path that had ended goes on later. What it shares with the branch that waited last is all
    /// that is known of how it came there.
    pub fn revive(&mut self) {
        if let Some(mark) = self.marks.last().cloned() {
            self.marks.push(mark);
        }
    }

    /// The instruction failed: the state before it.
    pub fn fail(&mut self, before: State) {
        self.fault = Some(before);
    }

    fn push(&mut self, slot: u32, before: &State, after: &State) {
        let changes = if self.detailed {
            difference(before, after)
        } else {
            Vec::new()
        };
        self.steps.push(Step {
            slot,
            level: before.level() as u8,
            changes,
        });
        if self.steps.len() > LIMIT {
            let middle = HEAD..HEAD + (LIMIT - HEAD) / 2;
            self.dropped += middle.len();
            self.steps.drain(middle);
        }
    }
}

fn difference(before: &State, after: &State) -> Vec<Change> {
    let mut changes = Vec::new();
    for (level, (old, new)) in before.frames.iter().zip(&after.frames).enumerate() {
        if !Rc::ptr_eq(old, new) {
            frame_difference(level as u8, old, new, &mut changes);
        }
    }
    changes
}

fn frame_difference(frame: u8, old: &Frame, new: &Frame, changes: &mut Vec<Change>) {
    for (number, (a, b)) in old.regs.iter().zip(&new.regs).enumerate() {
        if a != b {
            changes.push(Change {
                place: Place {
                    frame,
                    at: number as u8,
                },
                before: in_register(a),
                after: in_register(b),
            });
        }
    }
    for index in 0..old.stack.len().max(new.stack.len()) {
        let slot = |f: &Frame| f.stack.get(index).copied().unwrap_or(StackSlot::INVALID);
        let (before, after) = (slot(old), slot(new));
        if before != after {
            changes.push(Change {
                place: Place {
                    frame,
                    at: 16 + index as u8,
                },
                before,
                after,
            });
        }
    }
}

fn in_register(reg: &RegState) -> StackSlot {
    StackSlot {
        types: [SlotType::Spill; 8],
        reg: *reg,
    }
}

/// A path that failed.
#[derive(Debug)]
pub struct Recorded {
    /// Instructions before the one that failed, oldest first.
    pub steps: Vec<Step>,
    /// How many are missing from the middle.
    pub dropped: usize,
    /// The state before the instruction that failed.
    pub fault: State,
}

impl Recorded {
    /// What is known of a place before step `index` (`steps.len()`: at the failing instruction).
    pub fn value(&self, place: Place, index: usize) -> Option<StackSlot> {
        let later = self.steps.get(index..)?;
        if let Some(change) = later.iter().find_map(|s| s.change(place)) {
            return Some(change.before);
        }
        let frame = self.fault.frames.get(usize::from(place.frame))?;
        match place.at.checked_sub(16) {
            None => frame.regs.get(usize::from(place.at)).map(in_register),
            Some(index) => frame.stack.get(usize::from(index)).copied(),
        }
    }
}

/// Walks the program again, recording; `None` where it failed before the first instruction, or
/// does not fail in the same place.
pub fn record(request: &Request<'_>, slot: usize, processed: u64) -> Option<Recorded> {
    let program = Program::new(request).ok()?;
    let mut env = Env::new(request, program).ok()?;
    env.log = Log::default();
    env.recorder = Some(Box::new(Recorder {
        detailed: processed <= DETAILED,
        ..Recorder::default()
    }));
    verify::check(&mut env).err()?;
    let recorder = *env.recorder.take()?;
    if env.slot != slot || env.search.processed != processed {
        return None;
    }
    Some(Recorded {
        steps: recorder.steps,
        dropped: recorder.dropped,
        fault: recorder.fault?,
    })
}
