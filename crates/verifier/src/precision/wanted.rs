//! What a walk back asks for: registers and stack slots, per frame.

use panal_isa::Reg;

use super::undo::ANYTHING;
use crate::{
    env::Env,
    explore::{HistoryEntry, Linked, Place},
};

/// Registers and stack slots whose numbers are asked for, per frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) frame: usize,
    pub(super) regs: [u16; 8],
    pub(super) slots: [u64; 8],
}

/// The walk cannot say which numbers matter: all do.
pub(super) struct TooHard;

pub(super) const ARGUMENTS: u16 = 0b11_1110;

impl Wanted {
    pub(super) fn has(&self, reg: Reg) -> bool {
        self.regs[self.frame] & (1 << reg.number()) != 0
    }

    pub(super) fn add(&mut self, reg: Reg) {
        if reg != Reg::R10 {
            self.regs[self.frame] |= 1 << reg.number();
        }
    }

    pub(super) fn remove(&mut self, reg: Reg) {
        self.regs[self.frame] &= !(1 << reg.number());
    }

    pub(super) fn is_empty(&self) -> bool {
        // Mostly something of the frame under way is wanted: the others need not be looked at.
        let here = u64::from(self.regs[self.frame]) | self.slots[self.frame];
        here == 0
            && self.regs.iter().fold(0, |any, regs| any | regs) == 0
            && self.slots.iter().fold(0, |any, slots| any | slots) == 0
    }

    /// The registers and slots of the frame under way, if nothing is wanted of others. (Nothing ever
    /// is of those further in.)
    pub(super) fn only_here(&self) -> Option<(u16, u64)> {
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
    pub(super) fn hangs_on_slot(&self, env: &Env<'_>, slot: u32) -> bool {
        let regs = env.precision_regs.get(slot as usize);
        regs.is_none_or(|regs| regs & (self.regs[self.frame & 7] | ANYTHING) != 0)
    }

    /// Whether what the history knows of an instruction may have to do with what is wanted.
    pub(super) fn hangs_on(&self, entry: &HistoryEntry) -> bool {
        let stack = entry.stack.is_some_and(|(frame, index)| {
            self.slots[usize::from(frame & 7)] & (1 << (index & 63)) != 0
        });
        stack || entry.has_links()
    }

    /// When one of several linked numbers is wanted, all are.
    pub(super) fn spread(&mut self, linked: &Linked) {
        if linked.iter().any(|p| self.has_place(p)) {
            linked.iter().for_each(|p| self.add_place(p));
        }
    }

    pub(super) fn enter(&mut self) -> Result<(), TooHard> {
        if self.frame + 1 >= self.regs.len() {
            return Err(TooHard);
        }
        self.frame += 1;
        Ok(())
    }

    pub(super) fn leave(&mut self) -> Result<(), TooHard> {
        if self.frame == 0 || self.slots[self.frame] != 0 {
            return Err(TooHard);
        }
        self.frame -= 1;
        Ok(())
    }
}
