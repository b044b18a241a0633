//! The second wall in machine code: every address is compared with the cage before it is used,
//! unless its register is known to point there.
//!
//! Beside accesses, code without a proof could leave its function (the lowering walls functions off
//! from each other), find the host's addresses in registers (they are cleared), or hold a stale
//! frame pointer (the lowering refuses to write it).

use super::{
    compile::{Round, Target, gpr},
    convention::TEMP,
    x86::{Alu, Cc, Gpr, Mem, Shift, W, at},
};
use crate::{
    jit::cage::{self, CageShape},
    op::Op,
};

/// An access that is not made.
pub type Fault = cage::Fault<Mem>;

impl Round<'_> {
    /// Confines what an operation reads or writes, where it does.
    pub fn confine_operation(&mut self, op: &Op) {
        if let Some(access) = cage::accessed(op) {
            let confine = if access.atomic {
                Self::confine_atomic
            } else {
                Self::confine
            };
            confine(self, access.base, access.off, access.bytes, access.write);
        }
    }

    /// Confines an access of a program's register: nothing to do where it is known.
    fn confine(&mut self, base: u8, off: i32, bytes: u8, write: bool) {
        let place = at(gpr(base), off);
        self.confine_place(self.current(), (base, off), place, bytes, write);
    }

    /// The same where the operation at `op` finds the bytes at a place that the register and its
    /// offset stand for.
    pub fn confine_place(
        &mut self,
        op: usize,
        (base, off): (u8, i32),
        place: Mem,
        bytes: u8,
        write: bool,
    ) {
        let Some(cage) = self.options.cage else {
            return;
        };
        let last = i64::from(off) + i64::from(bytes) - 1;
        if !self.known.covers(base, last) {
            self.compare_place(cage, op, place, bytes, write);
            self.known.set(base, Some(last));
        }
    }

    /// Confines an atomic access, which must be aligned, too: the machine would lock the bus, or
    /// trap, where it is not.
    fn confine_atomic(&mut self, base: u8, off: i32, bytes: u8, write: bool) {
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
    fn compare_place(&mut self, cage: CageShape, op: usize, place: Mem, bytes: u8, write: bool) {
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
                scale: 0,
                disp: 0,
                ..
            } => self.x.mov(W::Q, TEMP, base),
            last => self.x.lea(W::Q, TEMP, last),
        }
        self.x.shift_imm(W::Q, Shift::Shr, TEMP, cage.bits());
        let common = (cage.base() >> cage.bits()) as i32;
        self.x.alu_imm(W::Q, Alu::Cmp, TEMP, common);
        let fault = Fault {
            place,
            bytes,
            write,
            misaligned: false,
        };
        self.jump_if(Cc::Ne, Target::Fault(fault, op));
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
