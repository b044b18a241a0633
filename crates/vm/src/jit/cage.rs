//! What both sides of a cage agree on: its shape, and which registers are known to point into it.
//!
//! The cage is aligned to its own size, so that one shift leaves what all of its addresses have in
//! common. A register that was compared stays known to point into the cage while only small
//! constants are added to it: the guard zones on both sides of the cage, which are harmless memory,
//! catch what lies a little beyond. The frame pointer is the engine's own and always known.

use crate::{
    Run,
    op::{Code, Op},
};

/// Where a cage lies: machine code has it as a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CageShape {
    base: u64,
    bits: u8,
}

impl CageShape {
    /// A cage of `size` bytes at `base`: a power of two of at least 1 MiB, aligned to itself, in the
    /// lower half of the address space; `None` for any other.
    ///
    /// What lies within [`CageShape::GUARD`] bytes of it must be harmless to read and write, too.
    pub fn new(base: u64, size: u64) -> Option<CageShape> {
        let fits = size.is_power_of_two()
            && size >= 1 << 20
            && base.is_multiple_of(size)
            && i32::try_from(base / size).is_ok();
        fits.then(|| CageShape {
            base,
            bits: size.trailing_zeros() as u8,
        })
    }

    /// Bytes on both sides that code may touch beside the cage.
    pub const GUARD: u64 = 1 << 20;

    /// Whether it is the cage of a run.
    pub(crate) fn is_of(self, run: &Run) -> bool {
        self.base == run.cage_base && 1 << self.bits == run.cage_size
    }

    fn contains(self, address: u64) -> bool {
        address >> self.bits == self.base >> self.bits
    }

    /// Its first address.
    pub(super) fn base(self) -> u64 {
        self.base
    }

    /// Bits of an offset into it.
    pub(super) fn bits(self) -> u8 {
        self.bits
    }
}

/// An access that is not made: what the exit tells.
#[derive(Clone, Copy)]
pub(super) struct Fault<P> {
    pub place: P,
    pub bytes: u8,
    pub write: bool,
    /// In the cage, but not aligned.
    pub misaligned: bool,
}

/// An access of the program's that must stay in the cage.
pub(super) struct Access {
    /// The register that it is based on, and how far from there it begins.
    pub base: u8,
    pub off: i32,
    pub bytes: u8,
    pub write: bool,
    /// It must be aligned, too.
    pub atomic: bool,
}

/// What an operation reads or writes by an address of the program's. Frames are the engine's, probes
/// compare by themselves, functions of the kernel check what they are given.
pub(super) fn accessed(op: &Op) -> Option<Access> {
    use Code::*;
    let load = |bytes| (op.src, bytes, false, false);
    let store = |bytes| (op.dst, bytes, true, false);
    let (base, bytes, write, atomic) = match op.code {
        Ld8 | LdS8 => load(1),
        Ld16 | LdS16 => load(2),
        Ld32 | LdS32 => load(4),
        Ld64 => load(8),
        St8K | St8X => store(1),
        St16K | St16X => store(2),
        St32K | St32X => store(4),
        St64K | St64X => store(8),
        Atomic32 => (op.dst, 4, true, true),
        Atomic64 => (op.dst, 8, true, true),
        LdAcq8 => (op.src, 1, false, true),
        LdAcq16 => (op.src, 2, false, true),
        LdAcq32 => (op.src, 4, false, true),
        LdAcq64 => (op.src, 8, false, true),
        StRel8 => (op.dst, 1, true, true),
        StRel16 => (op.dst, 2, true, true),
        StRel32 => (op.dst, 4, true, true),
        StRel64 => (op.dst, 8, true, true),
        // The key.
        ArrayLookup => (2, 4, false, false),
        _ => return None,
    };
    let off = if op.code == ArrayLookup { 0 } else { op.off };
    Some(Access {
        base,
        off,
        bytes,
        write,
        atomic,
    })
}

/// How far from a compared address others count as compared: half of a guard zone, so that the
/// displacement of an access never adds up to more than all of it.
const NEAR: i64 = 1 << 19;

/// What is known of the registers: how far from each an address lies that was compared.
#[derive(Clone, Copy)]
pub(super) struct Known([Option<i32>; 12]);

impl Known {
    /// At a place that may be reached from anywhere.
    pub fn nothing() -> Known {
        let mut known = Known([None; 12]);
        known.0[FRAME] = Some(0);
        known
    }

    fn of(&self, register: u8) -> Option<i32> {
        self.0.get(usize::from(register)).copied().flatten()
    }

    /// Whether the byte at an offset from a register needs no comparison.
    pub fn covers(&self, register: u8, offset: i64) -> bool {
        let near = |known: i32| (offset - i64::from(known)).abs() <= NEAR;
        self.of(register).is_some_and(near)
    }

    /// Takes note of what an operation does to the registers.
    pub fn learn(&mut self, cage: CageShape, op: &Op) {
        let moved = |known: Option<i32>, by: i64| known.map(|k| i64::from(k).saturating_sub(by));
        let own = self.of(op.dst);
        let imm = op.imm as i64;
        let after = match op.code {
            Code::Mov64X => moved(self.of(op.src), 0),
            Code::Mov64K => cage.contains(op.imm).then_some(0),
            Code::Add64K => moved(own, imm),
            Code::Sub64K => moved(own, imm.saturating_neg()),
            _ => None,
        };
        if op.code.is_call() {
            (0..=5).for_each(|register| self.set(register, None));
        }
        if let Some(written) = op.written() {
            self.set(written, after);
        }
    }

    /// Takes note that the byte at an offset from a register was compared.
    pub fn set(&mut self, register: u8, value: Option<i64>) {
        let near = value.filter(|v| v.abs() <= NEAR).map(|v| v as i32);
        if let Some(known) = self.0.get_mut(usize::from(register))
            && usize::from(register) != FRAME
        {
            *known = near;
        }
    }
}

const FRAME: usize = 10;
