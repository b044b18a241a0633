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
    /// What last told it apart.
    pub misfit: Option<Misfit>,
    /// Whether it is settled what of it counts: see [`crate::explore::Saved::used_slots`].
    pub settled: bool,
}

/// A precise number of a saved state that some state's did not lie within. Numbers of saved states
/// stay as they are, and what is precise stays so: it tells later states apart, too.
#[derive(Clone, Copy, Debug)]
pub struct Misfit {
    /// The register.
    pub number: u8,
    /// The least that it was, unsigned.
    pub umin: u64,
    /// The most.
    pub umax: u64,
}

impl Misfit {
    /// Whether it tells this frame apart, too.
    fn excludes(&self, frame: &Frame, digest: &Digest) -> bool {
        let reg = &frame.regs[usize::from(self.number) % frame.regs.len()];
        let is_scalar = digest.scalars & (1 << self.number) != 0;
        is_scalar && (reg.num.umin < self.umin || reg.num.umax > self.umax)
    }
}

impl Listed {
    /// Whether the state surely does not cover a path with this innermost frame. One that
    /// `must_be_same` does so only if all registers are the same.
    pub fn is_other(&self, frame: &Frame, digest: &Digest, must_be_same: bool) -> bool {
        self.digest.other_kinds(digest)
            || must_be_same && self.digest.numbers != digest.numbers
            || self.misfit.is_some_and(|m| m.excludes(frame, digest))
    }
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
    fn other_kinds(&self, other: &Digest) -> bool {
        (self.kinds ^ other.kinds) & self.counted != 0
    }

    /// Registers that hold numbers in both frames.
    pub fn both_scalars(&self, other: &Digest) -> u16 {
        self.scalars & other.scalars
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

    fn listed(frame: &Frame, misfit: Option<Misfit>) -> Listed {
        Listed {
            id: StateId(0),
            calls: InstanceId::default(),
            hits: 0,
            misses: 0,
            digest: Digest::new(frame, u16::MAX),
            misfit,
            settled: true,
        }
    }

    #[test]
    fn what_must_be_the_same_is_told_apart_by_a_number() {
        let seven = frame(RegState::constant(7));
        let eight = frame(RegState::constant(8));
        let is_other = |other: &Frame, must| {
            listed(&seven, None).is_other(other, &Digest::new(other, u16::MAX), must)
        };
        assert!(is_other(&eight, true));
        assert!(!is_other(&eight, false));
        assert!(!is_other(&seven, true));
    }

    #[test]
    fn a_number_outside_of_the_misfits_range_tells_apart() {
        let misfit = Misfit {
            number: 1,
            umin: 3,
            umax: 9,
        };
        let listed = listed(&frame(RegState::constant(7)), Some(misfit));
        let is_other = |reg| {
            let other = frame(reg);
            listed.is_other(&other, &Digest::new(&other, u16::MAX), false)
        };
        assert!(is_other(RegState::constant(2)));
        assert!(is_other(RegState::constant(10)));
        assert!(is_other(RegState::UNKNOWN));
        assert!(!is_other(RegState::constant(9)));
    }
}
