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
    pub digest: Digest,
    /// Whether it is settled what of it counts: see [`crate::explore::Saved::used_slots`].
    pub settled: bool,
}

/// What the innermost frame's registers hold, in short.
#[derive(Clone, Copy, Debug, Default)]
pub struct Digest {
    /// Six bits for each register: the kind of value and its flags.
    kinds: u64,
    /// The bits of `kinds` of registers that count.
    counted: u64,
    /// A hash of the numbers.
    numbers: u32,
    /// Registers that hold numbers, a bit for each.
    scalars: u16,
}

impl Digest {
    const BITS: usize = 6;
    const OF_ONE: u64 = (1 << Self::BITS) - 1;

    /// That of a frame of which the registers in `live` count, apart from those never written.
    pub fn new(frame: &Frame, live: u16) -> Digest {
        let mut digest = Digest::default();
        let mut numbers = 0u64;
        for (number, reg) in frame.regs[..10].iter().enumerate() {
            let kind = Self::kind(reg) << (number * Self::BITS);
            digest.kinds |= kind;
            if live & (1 << number) != 0 && kind != 0 {
                digest.counted |= Self::OF_ONE << (number * Self::BITS);
            }
            digest.scalars |= u16::from(reg.is_scalar()) << number;
            numbers = (numbers ^ reg.num.umin).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        digest.numbers = (numbers >> 32) as u32;
        digest
    }

    /// 0 for what was never written; the same for the same kind and flags.
    fn kind(reg: &RegState) -> u64 {
        match reg.kind.number() {
            0 => 0,
            kind => 1 | ((kind + u64::from(reg.flags.bits()) * 7) << 1 & Self::OF_ONE),
        }
    }

    /// Whether the other frame surely has something of another kind in a register that counts: then
    /// it is not covered.
    pub fn other_kinds(&self, other: &Digest) -> bool {
        (self.kinds ^ other.kinds) & self.counted != 0
    }

    /// Registers that hold numbers in both frames.
    pub fn both_scalars(&self, other: &Digest) -> u16 {
        self.scalars & other.scalars
    }

    /// Whether the other frame's registers are surely not all the same.
    pub fn is_other(&self, other: &Digest) -> bool {
        self.numbers != other.numbers
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
        let differ = |(a, live), b| {
            Digest::new(&frame(a), live).other_kinds(&Digest::new(&frame(b), u16::MAX))
        };
        let may_be_null = packet.with_flags(PtrFlags::MAYBE_NULL);
        assert!(differ((RegState::UNKNOWN, 0b10), packet));
        assert!(differ((RegState::UNKNOWN, 0b10), RegState::NOT_INIT));
        assert!(differ((packet, 0b10), may_be_null));
        assert!(!differ((RegState::UNKNOWN, 0b10), RegState::constant(7)));
        assert!(!differ((RegState::UNKNOWN, 0), packet));
        assert!(!differ((RegState::NOT_INIT, 0b10), packet));
    }

    #[test]
    fn frames_with_another_number_are_others() {
        let digest = |n| Digest::new(&frame(RegState::constant(n)), u16::MAX);
        assert!(digest(1).is_other(&digest(2)));
        assert!(!digest(2).is_other(&digest(2)));
    }
}
