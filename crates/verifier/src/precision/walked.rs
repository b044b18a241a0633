//! What earlier walks back wanted, so that none is done twice.

use alloc::vec::Vec;

use super::wanted::Wanted;
use crate::explore::HistoryRef;

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
    pub(super) fn covers(&mut self, entry: Option<HistoryRef>, wanted: &Wanted) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(frame: usize, regs: u16) -> Wanted {
        let mut wanted = Wanted {
            frame,
            ..Wanted::default()
        };
        wanted.regs[frame] = regs;
        wanted
    }

    #[test]
    fn a_walk_is_covered_by_all_earlier_ones_together() {
        let mut walked = Walked::default();
        let mut covers = |entry, wanted| walked.covers(HistoryRef::new(entry), &wanted);
        assert!(!covers(5, wanted(0, 0b0011)));
        assert!(covers(5, wanted(0, 0b0010)));
        assert!(!covers(5, wanted(0, 0b0110)));
        assert!(covers(5, wanted(0, 0b0111)));
        assert!(!covers(6, wanted(0, 0b0001)), "another entry");
        assert!(!covers(5, wanted(1, 0b0001)), "another frame");
    }

    #[test]
    fn what_outer_frames_want_is_not_covered() {
        let mut walked = Walked::default();
        let mut both = wanted(1, 1);
        both.slots[0] = 1;
        for _ in 0..2 {
            assert!(!walked.covers(HistoryRef::new(5), &both));
        }
    }

    #[test]
    fn an_entry_in_the_same_place_is_another_one() {
        let mut walked = Walked::default();
        assert!(!walked.covers(HistoryRef::new(5), &wanted(0, 1)));
        assert!(!walked.covers(HistoryRef::new(5 + Walked::PLACES), &wanted(0, 1)));
        assert!(!walked.covers(HistoryRef::new(5), &wanted(0, 1)));
    }
}
