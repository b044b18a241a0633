//! A frame's stack: slots of eight bytes, in pieces that states share until one writes.

use alloc::rc::Rc;
use core::ops::{Index, IndexMut};

use super::RegState;

/// Bytes of a slot.
pub const SLOT_SIZE: i32 = 8;

/// What one byte of stack holds. Linux's log prints one letter for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SlotType {
    /// Never written (`?`, not readable; `.` where nobody cares).
    Invalid,
    /// Part of a spilled register (`r`).
    Spill,
    /// Written with something unknown (`m`).
    Misc,
    /// Zero (`0`).
    Zero,
    /// Part of a dynptr (`d`).
    Dynptr,
    /// Part of an iterator (`i`).
    Iter,
    /// Saved IRQ flags (`f`).
    IrqFlag,
}

impl SlotType {
    /// The letter in Linux's log.
    pub const fn letter(self) -> char {
        match self {
            SlotType::Invalid => '?',
            SlotType::Spill => 'r',
            SlotType::Misc => 'm',
            SlotType::Zero => '0',
            SlotType::Dynptr => 'd',
            SlotType::Iter => 'i',
            SlotType::IrqFlag => 'f',
        }
    }

    /// Whether it belongs to an object that only helpers may touch.
    pub const fn is_special(self) -> bool {
        matches!(self, SlotType::Dynptr | SlotType::Iter | SlotType::IrqFlag)
    }
}

/// Eight bytes of stack, aligned. `types[0]` is the byte at the lowest address... as on a
/// little-endian machine a spilled register's low byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackSlot {
    /// What each byte holds.
    ///
    /// Index 7 is the byte at the **lowest** address, as in Linux's own array: a register of `n`
    /// bytes that was spilled to the slot's start fills the indices `8-n..8`.
    pub types: [SlotType; 8],
    /// The spilled register, or the special object's slot; meaningful when some byte is
    /// [`SlotType::Spill`] or special.
    pub reg: RegState,
}

impl StackSlot {
    /// Never written.
    pub const INVALID: StackSlot = StackSlot {
        types: [SlotType::Invalid; 8],
        reg: RegState::NOT_INIT,
    };

    /// Whether a register is spilled here, perhaps only in part.
    pub fn is_spilled(&self) -> bool {
        self.types[7] == SlotType::Spill
    }

    /// Whether all eight bytes are one spilled register.
    pub fn is_fully_spilled(&self) -> bool {
        self.types[0] == SlotType::Spill
    }

    /// Whether nothing else hangs on what is here by an id.
    pub fn is_unlinked(&self) -> bool {
        self.reg.id == 0 && self.reg.ref_id == 0
    }

    /// Whether a number is spilled here, perhaps only in part.
    pub fn is_spilled_scalar(&self) -> bool {
        self.is_spilled() && self.reg.is_scalar()
    }

    /// Whether it belongs to an object that only helpers may touch.
    pub fn is_special(&self) -> bool {
        self.types[7].is_special()
    }
}

/// Slots of a piece.
const PIECE: usize = 8;
/// A bit for each of them.
const OF_PIECE: u64 = (1 << PIECE) - 1;
/// Slots that a frame can have (`MAX_BPF_STACK` bytes).
const SLOTS: usize = 64;

/// Slots of a frame that count, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsedSlots {
    /// All of them.
    pub all: u64,
    /// Those that have an id: of these more counts than what they hold.
    pub linked: u64,
}

impl UsedSlots {
    /// As long as nothing is known.
    pub const UNSETTLED: UsedSlots = UsedSlots {
        all: u64::MAX,
        linked: u64::MAX,
    };
}

type Piece = Rc<[StackSlot; PIECE]>;

/// A frame's slots, from the upper end down: index 0 is at `r10 - 8`. Grows when written.
///
/// States are copied far more often than they are changed in many places, so a copy shares all
/// pieces, and a write makes one piece its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stack {
    pieces: [Option<Piece>; SLOTS / PIECE],
    len: usize,
}

impl Stack {
    /// A piece in which nothing was ever written.
    pub const NOTHING: &[StackSlot; PIECE] = &[StackSlot::INVALID; PIECE];

    /// How many slots there are: those up to the lowest one that was ever written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// A slot, if it is there.
    pub fn get(&self, index: usize) -> Option<&StackSlot> {
        if index >= self.len {
            return None;
        }
        let piece = self.pieces[index / PIECE].as_ref();
        Some(piece.map_or(&StackSlot::INVALID, |p| &p[index % PIECE]))
    }

    /// Of the slots in `mask`, those that lie in pieces that both share.
    pub fn shared(&self, other: &Stack, mask: u64) -> u64 {
        let mut shared = 0;
        for (at, (a, b)) in self.pieces.iter().zip(&other.pieces).enumerate() {
            let of_piece = OF_PIECE << (at * PIECE);
            if mask & of_piece != 0
                && let (Some(a), Some(b)) = (a, b)
                && Rc::ptr_eq(a, b)
            {
                shared |= of_piece;
            }
        }
        shared & mask
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut StackSlot> {
        if index >= self.len {
            return None;
        }
        let piece =
            self.pieces[index / PIECE].get_or_insert_with(|| Rc::new([StackSlot::INVALID; PIECE]));
        Some(&mut Rc::make_mut(piece)[index % PIECE])
    }

    /// All slots.
    pub fn iter(&self) -> impl Iterator<Item = &StackSlot> + '_ {
        let slots = self.pieces.iter().flat_map(|piece| match piece {
            Some(piece) => &piece[..],
            None => &Self::NOTHING[..],
        });
        slots.take(self.len)
    }

    /// The slots in which a register is spilled, with their indices.
    pub fn spilled(&self) -> impl Iterator<Item = (usize, &StackSlot)> + '_ {
        let pieces = self.pieces.iter().enumerate();
        let slots = pieces.flat_map(|(at, piece)| {
            let slots = piece.iter().flat_map(|p| p.iter()).enumerate();
            slots.map(move |(index, slot)| (at * PIECE + index, slot))
        });
        slots.filter(|(_, slot)| slot.is_spilled())
    }

    /// A bit for each slot in which such a register is spilled.
    pub fn spilled_where(&self, which: impl Fn(&RegState) -> bool) -> u64 {
        let matching = self.spilled().filter(|(_, slot)| which(&slot.reg));
        matching.fold(0, |mask, (index, _)| mask | 1 << index)
    }

    /// Makes room for this many slots.
    pub fn grow(&mut self, slots: usize) {
        self.len = self.len.max(slots.min(SLOTS));
    }

    /// The slots of which not all is invalid, and that are in `live` or belong to an object that only
    /// helpers may touch.
    pub fn used(&self, live: u64) -> UsedSlots {
        let mut used = UsedSlots::default();
        for (at, piece) in self.pieces.iter().enumerate() {
            let Some(slots) = piece else { continue };
            for (index, slot) in slots.iter().enumerate() {
                let bit = 1 << (at * PIECE + index);
                let is_valid = slot.types != [SlotType::Invalid; 8];
                if is_valid && (live & bit != 0 || slot.is_special()) {
                    used.all |= bit;
                    if !slot.is_unlinked() {
                        used.linked |= bit;
                    }
                }
            }
        }
        used
    }
}

impl Index<usize> for Stack {
    type Output = StackSlot;

    fn index(&self, index: usize) -> &StackSlot {
        self.get(index).unwrap_or(&StackSlot::INVALID)
    }
}

impl IndexMut<usize> for Stack {
    fn index_mut(&mut self, index: usize) -> &mut StackSlot {
        self.grow(index + 1);
        match self.get_mut(index % SLOTS) {
            Some(slot) => slot,
            // Room was just made for it.
            None => unreachable!("a slot beyond the stack"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_shared_until_one_side_writes() {
        let mut old = Stack::default();
        old[0].types = [SlotType::Zero; 8];
        old[9].types = [SlotType::Misc; 8];
        let mut new = old.clone();
        assert_eq!(new.shared(&old, 0b10_0000_0001), 0b10_0000_0001);
        new[8].types = [SlotType::Misc; 8];
        assert_eq!(new.shared(&old, u64::MAX), 0xff);
    }

    #[test]
    fn slots_with_an_id_are_told_from_the_others_that_count() {
        let mut stack = Stack::default();
        stack[1].types = [SlotType::Spill; 8];
        stack[1].reg = RegState::UNKNOWN.with_id(7);
        stack[2].types = [SlotType::Misc; 8];
        stack[3].types = [SlotType::Misc; 8];
        let used = stack.used(0b0111);
        assert_eq!((used.all, used.linked), (0b0110, 0b0010));
    }
}
