//! Saved states by the slot at which they were saved: most slots have none.

use alloc::vec::Vec;

use crate::{
    explore::StateId,
    liveness::InstanceId,
    state::{Frame, RegState},
};

/// A state that is compared with, and what the search asks of it first: it lies together, so that most
/// states need not be looked at.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// The state.
    pub id: StateId,
    /// The chain of calls that was under way.
    pub calls: InstanceId,
    /// How often it pruned a path.
    pub hits: u32,
    /// How often it did not.
    pub misses: u32,
    /// What its registers hold.
    pub kinds: Kinds,
    /// Whether it is settled what of it counts: see [`crate::explore::Saved::used_slots`].
    pub settled: bool,
}

/// What the innermost frame's registers hold, in six bits each: the kind of value and its flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    of: u64,
    /// The bits of registers that count.
    counted: u64,
}

impl Kinds {
    const BITS: usize = 6;
    const OF_ONE: u64 = (1 << Self::BITS) - 1;

    /// Those of a frame of which the registers in `live` count, apart from those never written.
    pub fn new(frame: &Frame, live: u16) -> Kinds {
        let mut kinds = Kinds::default();
        for (number, reg) in frame.regs[..10].iter().enumerate() {
            let kind = Self::digest(reg) << (number * Self::BITS);
            kinds.of |= kind;
            if live & (1 << number) != 0 && kind != 0 {
                kinds.counted |= Self::OF_ONE << (number * Self::BITS);
            }
        }
        kinds
    }

    /// 0 for what was never written; the same for the same kind and flags.
    fn digest(reg: &RegState) -> u64 {
        match reg.kind.number() {
            0 => 0,
            kind => 1 | ((kind + u64::from(reg.flags.bits()) * 7) << 1 & Self::OF_ONE),
        }
    }

    /// Whether some register that counts surely holds something else than in the other frame.
    pub fn differ(self, other: Kinds) -> bool {
        (self.of ^ other.of) & self.counted != 0
    }
}

/// The states that are compared with, by slot.
#[derive(Debug, Default)]
pub struct BySlot {
    /// Per slot: one more than the index of its list, 0 for none.
    list_of: Vec<u32>,
    lists: Vec<Vec<Listed>>,
}

impl BySlot {
    /// No states, for a program of so many slots.
    pub fn new(slots: usize) -> BySlot {
        BySlot {
            list_of: alloc::vec![0; slots],
            lists: Vec::new(),
        }
    }

    /// Those at a slot, oldest first.
    #[inline]
    pub fn at(&self, slot: usize) -> &[Listed] {
        match self.list_of.get(slot) {
            None | Some(0) => &[],
            Some(&list) => &self.lists[list as usize - 1],
        }
    }

    /// One of them, by its place in [`BySlot::at`], to change it.
    #[inline]
    pub fn listed_mut(&mut self, slot: usize, index: usize) -> &mut Listed {
        &mut self.lists[self.list_of[slot] as usize - 1][index]
    }

    /// Adds one.
    pub fn push(&mut self, slot: usize, listed: Listed) {
        let list = &mut self.list_of[slot];
        if *list == 0 {
            self.lists.push(Vec::new());
            *list = self.lists.len() as u32;
        }
        self.lists[*list as usize - 1].push(listed);
    }

    /// Removes one, by its place in [`BySlot::at`].
    pub fn remove(&mut self, slot: usize, index: usize) {
        let list = self.list_of[slot] as usize - 1;
        self.lists[list].remove(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{PtrFlags, RegKind};

    fn frame(r1: RegState) -> Frame {
        let mut frame = Frame::new(0, 0, 0);
        frame.regs[1] = r1;
        frame
    }

    #[test]
    fn kinds_differ_where_a_counted_register_has_another_kind_or_flag() {
        let packet = RegState::pointer(RegKind::PacketEnd);
        let kinds = |reg, live| Kinds::new(&frame(reg), live);
        let number = kinds(RegState::UNKNOWN, 0b10);
        assert!(number.differ(kinds(packet, 0b10)));
        assert!(number.differ(kinds(RegState::NOT_INIT, 0b10)));
        assert!(!number.differ(kinds(RegState::constant(7), 0)));
        assert!(!kinds(RegState::UNKNOWN, 0).differ(kinds(packet, 0b10)));
        assert!(!kinds(RegState::NOT_INIT, 0b10).differ(kinds(packet, 0b10)));
        let may_be_null = packet.with_flags(PtrFlags::MAYBE_NULL);
        assert!(kinds(packet, 0b10).differ(kinds(may_be_null, 0b10)));
    }
}
