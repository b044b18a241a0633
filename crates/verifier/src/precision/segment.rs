//! The way back through the instructions between two saved states.

use alloc::string::String;

use super::{
    undo::undo,
    walked::Walked,
    wanted::{TooHard, Wanted},
};
use crate::{
    env::Env,
    explore::{HistoryEntry, HistoryRef},
    report,
};

/// The instructions between two saved states, from the last to the first.
pub(super) struct Segment {
    /// The last instruction.
    pub(super) last: u32,
    /// The first one.
    pub(super) first: u32,
    /// The newest history entry.
    pub(super) entry: Option<HistoryRef>,
    /// What Linux logs of the walk, where that is wanted.
    pub(super) trace: Option<String>,
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
    pub(super) fn walk(
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
