//! Eight bytes of stack.

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

    /// Whether a number is spilled here, perhaps only in part.
    pub fn is_spilled_scalar(&self) -> bool {
        self.is_spilled() && self.reg.is_scalar()
    }

    /// Whether it belongs to an object that only helpers may touch.
    pub fn is_special(&self) -> bool {
        self.types[7].is_special()
    }
}
