//! The second wall: every address is compared with the cage before it is used, unless its register
//! is known to point there. What else a program without a proof may not do is said at
//! [`crate::jit::cage`]'s users for every CPU: it finds no addresses of the host in registers, and
//! cannot leave its function.

use super::{
    a64::{Alu, Gpr, If, W, ZERO},
    compile::{CAGE, Round, TEMP, Target, gpr},
};
use crate::{
    jit::cage::{self, CageShape},
    op::Op,
};

/// An access that is not made.
pub type Fault = cage::Fault<(Gpr, i32)>;

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
        let Some(cage) = self.options.cage else {
            return;
        };
        let last = i64::from(off) + i64::from(bytes) - 1;
        if self.known.covers(base, last) {
            return;
        }
        self.compare_place(cage, (gpr(base), off), bytes, write);
        self.known.set(base, Some(last));
    }

    /// Confines an atomic access, which must be aligned, too.
    fn confine_atomic(&mut self, base: u8, off: i32, bytes: u8, write: bool) {
        if self.options.cage.is_none() {
            return;
        }
        self.confine(base, off, bytes, write);
        if bytes > 1 {
            let place = (gpr(base), off);
            self.add(TEMP, place);
            self.alu_imm(W::Q, Alu::Ands, ZERO, TEMP, u64::from(bytes) - 1);
            let fault = Fault {
                place,
                bytes,
                write,
                misaligned: true,
            };
            let target = Target::Fault(fault, self.current());
            self.jump_if(If::Flags(super::a64::Cc::Ne), target);
        }
    }

    /// Compares the access's last byte; the guard takes those before it.
    fn compare_place(&mut self, cage: CageShape, place: (Gpr, i32), bytes: u8, write: bool) {
        let (base, off) = place;
        let last = off.checked_add(i32::from(bytes) - 1).unwrap_or(off);
        self.add(TEMP, (base, last));
        self.x.alu(W::Q, Alu::Sub, TEMP, TEMP, CAGE);
        self.x.shift_imm(W::Q, Alu::Lsr, TEMP, TEMP, cage.bits());
        let fault = Fault {
            place,
            bytes,
            write,
            misaligned: false,
        };
        let target = Target::Fault(fault, self.current());
        self.jump_if(If::NotZero(W::Q, TEMP), target);
    }

    /// Clears what calls leave in the registers: a program without a proof could read it.
    pub fn clear_given_away(&mut self) {
        if self.options.cage.is_some() {
            (1..=5).for_each(|register| self.x.mov_imm(gpr(register), 0));
        }
    }
}
