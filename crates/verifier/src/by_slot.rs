//! Saved states by the slot at which they were saved: most slots have none.

use alloc::vec::Vec;

use crate::{
    bits::bits,
    compare,
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
    /// The bits of its digest's kinds of registers that count.
    counted: u64,
    /// The register that last told it apart.
    pub misfit: Option<Misfit>,
    /// The stack slot (frame, index) that last did.
    pub unfit_slot: Option<(u8, u8)>,
    /// Whether it is settled what of it counts: see [`crate::explore::Saved::used_slots`].
    pub settled: bool,
}

/// A register of a saved state that some state's did not fit. Registers of saved states stay as they
/// are, and what is precise stays so: it tells later states apart, too.
#[derive(Clone, Copy, Debug)]
pub struct Misfit {
    /// The register.
    pub number: u8,
    /// What of it did not fit.
    pub why: Why,
}

/// What of a saved state's register did not fit.
#[derive(Clone, Copy, Debug)]
pub enum Why {
    /// A precise number: what is less than `umin` or more than `umax`, unsigned, does not.
    Number {
        /// The least that it was, unsigned.
        umin: u64,
        /// The most.
        umax: u64,
    },
    /// A pointer's fixed offset.
    Offset(i32),
    /// How far a packet pointer's packet is known to go.
    Range(i32),
}

impl Misfit {
    /// Whether it tells this frame apart, too.
    fn excludes(&self, frame: &Frame, digest: &Digest) -> bool {
        let reg = &frame.regs[usize::from(self.number) % frame.regs.len()];
        match self.why {
            Why::Number { umin, umax } => {
                let is_scalar = digest.scalars & (1 << self.number) != 0;
                is_scalar && (reg.num.umin < umin || reg.num.umax > umax)
            }
            Why::Offset(off) => reg.off != off,
            Why::Range(range) => !compare::has_range(reg, range),
        }
    }
}

impl Listed {
    /// A state of which nothing is known yet but what its registers hold; those in `live` count,
    /// apart from those never written.
    pub fn new(id: StateId, calls: InstanceId, digest: Digest, live: u16) -> Listed {
        let mut counted = 0;
        for number in bits(u64::from(live)).filter(|&number| number < Digest::NUMBERS) {
            let mask = Digest::OF_ONE << (number * Digest::BITS);
            if digest.kinds & mask != 0 {
                counted |= mask;
            }
        }
        Listed {
            id,
            calls,
            hits: 0,
            misses: 0,
            digest,
            counted,
            misfit: None,
            unfit_slot: None,
            settled: false,
        }
    }

    /// Whether the state surely does not cover a path with this innermost frame. One that
    /// `must_be_same` does so only if all registers are the same.
    pub fn is_other(&self, frame: &Frame, digest: &Digest, must_be_same: bool) -> bool {
        (self.digest.kinds ^ digest.kinds) & self.counted != 0
            || must_be_same && self.digest.numbers != digest.numbers
            || self.misfit.is_some_and(|m| m.excludes(frame, digest))
    }
}

/// What the innermost frame's registers hold, in short.
#[derive(Clone, Copy, Debug, Default)]
pub struct Digest {
    /// Six bits for each register: the kind of value and its flags.
    kinds: u64,
    /// A hash of the numbers.
    numbers: u32,
    /// Registers that hold numbers, a bit for each.
    scalars: u16,
}

impl Digest {
    const BITS: usize = 6;
    const OF_ONE: u64 = (1 << Self::BITS) - 1;

    /// `r0` to `r9`
    const NUMBERS: usize = 10;

    /// That of a frame.
    pub fn new(frame: &Frame) -> Digest {
        let mut digest = Digest::default();
        let mut numbers = 0u64;
        for (number, reg) in frame.regs[..Self::NUMBERS].iter().enumerate() {
            digest.kinds |= Self::kind(reg) << (number * Self::BITS);
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

    /// Those at a slot, until they are [put back](BySlot::put_back).
    #[inline]
    pub fn take(&mut self, slot: usize) -> Vec<Listed> {
        match self.list_of.get(slot) {
            None | Some(0) => Vec::new(),
            Some(&list) => core::mem::take(&mut self.lists[list as usize - 1]),
        }
    }

    /// See [`BySlot::take`].
    #[inline]
    pub fn put_back(&mut self, slot: usize, list: Vec<Listed>) {
        if let Some(at @ 1..) = self.list_of.get(slot).copied() {
            self.lists[at as usize - 1] = list;
        }
    }

    /// Adds one.
    pub fn push(&mut self, slot: usize, listed: Listed) {
        let list = &mut self.list_of[slot];
        if *list == 0 {
            // Most places have one.
            self.lists.push(Vec::with_capacity(1));
            *list = self.lists.len() as u32;
        }
        self.lists[*list as usize - 1].push(listed);
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

    fn listed(frame: &Frame, live: u16) -> Listed {
        let digest = Digest::new(frame);
        Listed::new(StateId(0), InstanceId::default(), digest, live)
    }

    #[test]
    fn kinds_differ_where_a_counted_register_has_another_kind_or_flag() {
        let packet = RegState::pointer(RegKind::PacketEnd);
        let differ = |(a, live), b| {
            let other = frame(b);
            listed(&frame(a), live).is_other(&other, &Digest::new(&other), false)
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
    fn what_must_be_the_same_is_told_apart_by_a_number() {
        let seven = frame(RegState::constant(7));
        let eight = frame(RegState::constant(8));
        let is_other = |other: &Frame, must| {
            listed(&seven, u16::MAX).is_other(other, &Digest::new(other), must)
        };
        assert!(is_other(&eight, true));
        assert!(!is_other(&eight, false));
        assert!(!is_other(&seven, true));
    }

    /// Whether a state with `r1` as `new` is told apart from one with `old` by what did not fit.
    fn is_told_apart(old: RegState, why: Why, new: RegState) -> bool {
        let mut listed = listed(&frame(old), u16::MAX);
        listed.misfit = Some(Misfit { number: 1, why });
        let other = frame(new);
        listed.is_other(&other, &Digest::new(&other), false)
    }

    #[test]
    fn a_number_outside_of_the_misfits_range_tells_apart() {
        let why = Why::Number { umin: 3, umax: 9 };
        let is_other = |new| is_told_apart(RegState::constant(7), why, new);
        assert!(is_other(RegState::constant(2)));
        assert!(is_other(RegState::constant(10)));
        assert!(is_other(RegState::UNKNOWN));
        assert!(!is_other(RegState::constant(9)));
    }

    #[test]
    fn a_pointer_of_another_offset_or_shorter_range_tells_apart() {
        let packet = |range, off| RegState {
            off,
            ..RegState::pointer(RegKind::Packet { range })
        };
        let old = packet(8, 4);
        assert!(is_told_apart(old, Why::Offset(4), packet(8, 5)));
        assert!(!is_told_apart(old, Why::Offset(4), packet(9, 4)));
        assert!(is_told_apart(old, Why::Range(8), packet(7, 4)));
        assert!(is_told_apart(old, Why::Range(8), packet(-1, 4)));
        assert!(!is_told_apart(old, Why::Range(8), packet(9, 4)));
    }
}
