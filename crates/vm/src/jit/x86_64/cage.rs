//! The second wall in machine code: every address is compared with the cage before it is used.
//!
//! The cage is aligned to its own size, so that one shift leaves what all of its addresses have in
//! common. A register that was compared stays known to point into the cage while only small
//! constants are added to it: the guard zones on both sides of the cage, which are harmless memory,
//! catch what lies a little beyond. The frame pointer is the engine's own and always known.
//!
//! Beside accesses, code without a proof could leave its function (the lowering walls functions off
//! from each other), find the host's addresses in registers (they are cleared), or hold a stale
//! frame pointer (the lowering refuses to write it).

use super::{
    compile::{Round, TEMP, Target, gpr},
    x86::{Alu, Cc, Gpr, Mem, Shift, W, at},
};
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
}

/// How far from a compared address others count as compared: half of a guard zone, so that the
/// displacement of an access never adds up to more than all of it.
const NEAR: i64 = 1 << 19;

/// What is known of the registers: how far from each an address lies that was compared.
#[derive(Clone, Copy)]
pub struct Known([Option<i32>; 12]);

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

    fn set(&mut self, register: u8, value: Option<i64>) {
        let near = value.filter(|v| v.abs() <= NEAR).map(|v| v as i32);
        if let Some(known) = self.0.get_mut(usize::from(register))
            && usize::from(register) != FRAME
        {
            *known = near;
        }
    }
}

const FRAME: usize = 10;

/// An access that is not made: what the exit tells.
#[derive(Clone, Copy)]
pub struct Fault {
    pub place: Mem,
    pub bytes: u8,
    pub write: bool,
    /// In the cage, but not aligned.
    pub misaligned: bool,
}

impl Round<'_> {
    /// Confines an access of a program's register: nothing to do where it is known.
    pub fn confine(&mut self, base: u8, off: i32, bytes: u8, write: bool) {
        let Some(cage) = self.options.cage else {
            return;
        };
        let last = i64::from(off) + i64::from(bytes) - 1;
        let near = |known: i32| (last - i64::from(known)).abs() <= NEAR;
        if self.known.of(base).is_some_and(near) {
            return;
        }
        self.compare_place(cage, at(gpr(base), off), bytes, write);
        self.known.set(base, Some(last));
    }

    /// Confines an access to any place.
    pub fn confine_place(&mut self, place: Mem, bytes: u8, write: bool) {
        if let Some(cage) = self.options.cage {
            self.compare_place(cage, place, bytes, write);
        }
    }

    /// Confines an atomic access, which must be aligned, too: the machine would lock the bus, or
    /// trap, where it is not.
    pub fn confine_atomic(&mut self, base: u8, off: i32, bytes: u8, write: bool) {
        if self.options.cage.is_none() {
            return;
        }
        self.confine(base, off, bytes, write);
        if bytes > 1 {
            let place = at(gpr(base), off);
            self.x.lea(W::D, TEMP, place);
            self.x.test_imm(W::D, TEMP, i32::from(bytes) - 1);
            let fault = Fault {
                place,
                bytes,
                write,
                misaligned: true,
            };
            self.jump_if(Cc::Ne, Target::Fault(fault, self.current()));
        }
    }

    /// Compares the access's last byte; the guard takes those before it.
    fn compare_place(&mut self, cage: CageShape, place: Mem, bytes: u8, write: bool) {
        let last = Mem {
            disp: place
                .disp
                .checked_add(i32::from(bytes) - 1)
                .unwrap_or(place.disp),
            ..place
        };
        match last {
            Mem {
                base,
                index: None,
                disp: 0,
            } => self.x.mov(W::Q, TEMP, base),
            last => self.x.lea(W::Q, TEMP, last),
        }
        self.x.shift_imm(W::Q, Shift::Shr, TEMP, cage.bits);
        let common = (cage.base >> cage.bits) as i32;
        self.x.alu_imm(W::Q, Alu::Cmp, TEMP, common);
        let fault = Fault {
            place,
            bytes,
            write,
            misaligned: false,
        };
        self.jump_if(Cc::Ne, Target::Fault(fault, self.current()));
    }

    /// Takes note of what an operation does to the registers.
    pub fn learn(&mut self, op: &Op) {
        let Some(cage) = self.options.cage else {
            return;
        };
        let moved = |known: Option<i32>, by: i64| known.map(|k| i64::from(k).saturating_sub(by));
        let own = self.known.of(op.dst);
        let imm = op.imm as i64;
        let after = match op.code {
            Code::Mov64X => moved(self.known.of(op.src), 0),
            Code::Mov64K => cage.contains(op.imm).then_some(0),
            Code::Add64K => moved(own, imm),
            Code::Sub64K => moved(own, imm.saturating_neg()),
            _ => None,
        };
        if op.code.is_call() {
            (0..=5).for_each(|register| self.known.set(register, None));
        }
        if let Some(written) = op.written() {
            self.known.set(written, after);
        }
    }

    /// Clears what calls leave in the registers: a program without a proof could read it.
    pub fn clear_given_away(&mut self) {
        if self.options.cage.is_some() {
            for register in [Gpr::Rdi, Gpr::Rsi, Gpr::Rdx, Gpr::Rcx, Gpr::R8] {
                self.x.mov_imm(register, 0);
            }
        }
    }
}
