//! What is known in one place of a function: its registers and its frame.

use panal_isa::{Operand, Reg, Size};

use super::value::{Value, sized};
use crate::program::SCRATCH;

/// Eight aligned bytes of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Numbers, but for the bytes of this mask.
    Bytes(u8),
    /// A whole address.
    Spill(Value),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) regs: [Value; 11],
    pub(super) stack: [Slot; FRAME / 8],
}

/// Bytes of a frame that are followed.
pub(super) const FRAME: usize = 512;

impl Slot {
    pub(super) fn join(self, other: Slot) -> Slot {
        match (self, other) {
            (a, b) if a == b => a,
            (Slot::Bytes(a), Slot::Bytes(b)) => Slot::Bytes(a | b),
            _ => Slot::Bytes(0xff),
        }
    }
}

impl State {
    pub(super) fn new(args: [Value; 5]) -> State {
        let mut regs = [Value::Unknown; 11];
        regs[1..=5].copy_from_slice(&args);
        regs[10] = Value::Frame(0, 0);
        State {
            regs,
            stack: [Slot::Bytes(0xff); FRAME / 8],
        }
    }

    pub(super) fn join(&mut self, other: &State) -> bool {
        let before = self.clone();
        for (mine, theirs) in self.regs.iter_mut().zip(&other.regs) {
            *mine = mine.join(*theirs);
        }
        for (mine, theirs) in self.stack.iter_mut().zip(&other.stack) {
            *mine = mine.join(*theirs);
        }
        *self != before
    }

    pub(super) fn get(&self, r: Reg) -> Value {
        self.regs[r.index()]
    }

    pub(super) fn set(&mut self, r: Reg, value: Value) {
        self.regs[r.index()] = value;
    }

    pub(super) fn operand(&self, operand: Operand) -> Value {
        match operand {
            Operand::Reg(r) => self.get(r),
            Operand::Imm(imm) => Value::Known(imm.into()),
        }
    }

    /// Whether the part of the frame that every function zeroes holds numbers alone.
    pub(super) fn scratch_is_numbers(&self) -> bool {
        let first = FRAME / 8 - SCRATCH as usize / 8;
        self.stack[first..]
            .iter()
            .all(|slot| *slot == Slot::Bytes(0))
    }

    /// The bytes from `low` to before `end`, counted from the frame pointer.
    pub(super) fn are_numbers(&self, low: i64, end: i64) -> bool {
        (low..end).all(|at| match index(at) {
            Some((slot, byte)) => match self.stack[slot] {
                Slot::Bytes(mask) => mask >> byte & 1 == 0,
                Slot::Spill(_) => false,
            },
            None => false,
        })
    }

    pub(super) fn read_frame(&self, low: i64, high: i64, size: Size) -> Value {
        let len = i64::from(size.bytes());
        if low == high
            && size == Size::DW
            && let Some((slot, 0)) = index(low)
            && let Slot::Spill(value) = self.stack[slot]
        {
            return value;
        }
        if self.are_numbers(low, high + len) {
            sized(size)
        } else {
            Value::Unknown
        }
    }

    pub(super) fn write_frame(&mut self, low: i64, high: i64, size: Size, value: Value) {
        let len = i64::from(size.bytes());
        for at in low..high + len {
            let Some((slot, byte)) = index(at) else {
                continue;
            };
            let mask = match self.stack[slot] {
                Slot::Bytes(mask) => mask,
                Slot::Spill(_) => 0xff,
            };
            self.stack[slot] = Slot::Bytes(match value.is_number() {
                // A write that may be elsewhere defines nothing.
                true if low == high => mask & !(1 << byte),
                true => mask,
                false => mask | 1 << byte,
            });
        }
        if low == high
            && size == Size::DW
            && value.is_address()
            && let Some((slot, 0)) = index(low)
        {
            self.stack[slot] = Slot::Spill(value);
        }
    }

    /// After a call: no more in the argument registers.
    pub(super) fn clobber(&mut self) {
        self.regs[1..=5].fill(Value::Unknown);
    }

    /// Addresses into the packet are worth nothing any more.
    pub(super) fn forget_packet(&mut self) {
        for value in &mut self.regs {
            if *value == Value::Packet {
                *value = Value::Unknown;
            }
        }
        for slot in &mut self.stack {
            if *slot == Slot::Spill(Value::Packet) {
                *slot = Slot::Bytes(0xff);
            }
        }
    }
}

/// Slot and byte of a place below the frame pointer.
pub(super) fn index(at: i64) -> Option<(usize, u8)> {
    let byte = usize::try_from(FRAME as i64 + at).ok()?;
    (byte < FRAME).then_some((byte / 8, (byte % 8) as u8))
}
