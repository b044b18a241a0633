//! Sums that are not written down before they are needed: an address becomes the operand of the
//! access, a copy the copied register. What is pending is known by the machine's registers as they
//! are, so whatever overwrites one of them writes down first what depends on it.
//!
//! In a cage the same operand is compared that is used then. Whether it needs to be is known of what
//! the register stands for.

use super::{
    compile::{Round, gpr},
    convention::TEMP,
    x86::{Alu, Gpr, Mem, Shift, W, at},
};
use crate::{
    jit::live::{Effects, Set, effects, only, unproven_reads},
    op::{Code, Op},
};

/// A sum: an address that is known or a register, a register that is shifted, a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    known: Option<u64>,
    disp: i32,
    /// [`NONE`] where there is none.
    base: u8,
    index: u8,
    /// By how much the index is shifted.
    by: u8,
}

/// No register: its bit in a set is no register's.
const NONE: u8 = 15;

/// Zero.
const NOTHING: Sum = Sum {
    known: None,
    disp: 0,
    base: NONE,
    index: NONE,
    by: 0,
};

impl Default for Sum {
    fn default() -> Sum {
        NOTHING
    }
}

impl Sum {
    const fn of(register: u8) -> Sum {
        Sum {
            base: register,
            ..NOTHING
        }
    }

    /// Registers that it is made of.
    #[inline]
    fn parts(&self) -> Set {
        (only(self.base) | only(self.index)) & !only(NONE)
    }

    /// The one register that it is, unchanged.
    #[inline]
    fn copied(&self) -> Option<u8> {
        let plain = self.known.is_none() && self.index == NONE && self.disp == 0;
        (plain && self.base != NONE).then_some(self.base)
    }

    #[inline]
    fn plus(self, by: i64) -> Option<Sum> {
        let sum = i64::from(self.disp).checked_add(by)?;
        match self.known {
            Some(known) => Some(Sum {
                known: Some(known.wrapping_add(by as u64)),
                ..self
            }),
            None => Some(Sum {
                disp: i32::try_from(sum).ok()?,
                ..self
            }),
        }
    }

    fn shifted(self, by: u8) -> Option<Sum> {
        let register = self.copied()?;
        Some(Sum {
            index: register,
            by,
            ..NOTHING
        })
    }

    /// Both together, if an operand has room for it.
    fn and(self, other: Sum) -> Option<Sum> {
        let known = match (self.known, other.known) {
            (Some(_), Some(_)) => return None,
            (known, None) | (None, known) => known,
        };
        let mut sum = Sum { known, ..NOTHING };
        let mut left = [
            (self.base, 0),
            (other.base, 0),
            (self.index, self.by),
            (other.index, other.by),
        ];
        // A known address takes the base's place.
        for (register, by) in &mut left {
            if *register == NONE {
                continue;
            }
            if *by == 0 && sum.base == NONE && known.is_none() {
                sum.base = *register;
            } else if sum.index == NONE {
                (sum.index, sum.by) = (*register, *by);
            } else {
                return None;
            }
        }
        sum.plus(self.disp.into())?.plus(other.disp.into())
    }
}

/// What is pending.
#[derive(Clone, Default)]
pub struct Lazy {
    pending: Set,
    /// Registers that something pending is made of, and perhaps more.
    parts: Set,
    sums: [Sum; 12],
}

impl Lazy {
    #[inline]
    fn get(&self, register: u8) -> Option<Sum> {
        let is_pending = self.pending & only(register) != 0;
        is_pending.then(|| self.sums[usize::from(register) % self.sums.len()])
    }

    /// The sum that a register stands for.
    #[inline]
    fn value(&self, register: u8) -> Sum {
        // Which it is nobody could foresee.
        static OWN: [Sum; 12] = {
            let mut own = [NOTHING; 12];
            let mut register = 0;
            while register < own.len() {
                own[register] = Sum::of(register as u8);
                register += 1;
            }
            own
        };
        let place = usize::from(register) % self.sums.len();
        let sums = [&OWN[place], &self.sums[place]];
        *sums[usize::from(self.pending >> (register & 15) & 1)]
    }

    /// A pending register, other than this one and those left out, that is made of it.
    #[inline]
    fn dependent(&self, register: u8, left_out: Set) -> Option<u8> {
        if self.parts & only(register) == 0 {
            return None;
        }
        let mut others = self.pending & !only(register) & !left_out;
        while others != 0 {
            let other = others.trailing_zeros() as u8;
            if self.sums[usize::from(other)].parts() & only(register) != 0 {
                return Some(other);
            }
            others &= others - 1;
        }
        None
    }

    #[inline]
    fn put(&mut self, register: u8, sum: Sum) {
        self.pending |= only(register);
        self.parts |= sum.parts();
        let register = usize::from(register) % self.sums.len();
        self.sums[register] = sum;
    }
}

impl Round<'_> {
    /// In front of an operation: what is read no more is forgotten.
    #[inline]
    pub fn forget_dead(&mut self, index: usize) {
        self.lazy.pending &= self.plan.live.before(index);
        if self.lazy.pending == 0 {
            self.lazy.parts = 0;
        }
    }

    /// Writes down all that is pending: in front of what jumps lead to.
    pub fn settle_all(&mut self) {
        self.settle(self.lazy.pending);
    }

    /// Writes down what is pending of these registers.
    pub fn settle(&mut self, registers: Set) {
        while self.lazy.pending & registers != 0 {
            let register = (self.lazy.pending & registers).trailing_zeros() as u8;
            self.write_down(register);
        }
    }

    /// Whether an operation has nothing to do with what is pending. In a cage it is seldom asked.
    #[inline]
    pub fn concerns_nothing_pending(&self, op: &Op) -> bool {
        let Effects { reads, writes } = effects(op);
        let concerned = self.lazy.pending & (reads | writes) | self.lazy.parts & writes;
        match self.options.cage {
            None => concerned == 0,
            Some(_) => self.lazy.pending == 0,
        }
    }

    /// Makes ready for an operation that is written as it stands.
    pub fn settle_for(&mut self, op: &Op) {
        if self.lazy.pending != 0 {
            let effects = effects(op);
            self.settle(effects.reads);
            if self.options.cage.is_some() {
                self.settle(unproven_reads(op));
            }
            self.overwrite(effects.writes);
        }
    }

    /// Makes ready for these registers to be overwritten.
    pub fn overwrite(&mut self, registers: Set) {
        if self.lazy.pending == 0 {
            return;
        }
        self.lazy.pending &= !registers;
        let mut left = registers & self.lazy.parts;
        while left != 0 {
            self.free(left.trailing_zeros() as u8);
            left &= left - 1;
        }
    }

    /// The same for an operation that reads this register first, by [`Round::place_of`].
    pub fn overwrite_beside(&mut self, registers: Set, read: u8) {
        self.lazy.pending &= !registers | only(read);
        let mut left = registers & self.lazy.parts;
        while left != 0 {
            let register = left.trailing_zeros() as u8;
            while let Some(other) = self.lazy.dependent(register, only(read)) {
                self.write_down(other);
            }
            left &= left - 1;
        }
    }

    /// Whether a register is not what it stands for.
    pub fn is_pending(&self, register: u8) -> bool {
        self.lazy.pending & only(register) != 0
    }

    /// Writes down what depends on a register.
    fn free(&mut self, register: u8) {
        while let Some(other) = self.lazy.dependent(register, 0) {
            self.write_down(other);
        }
    }

    fn write_down(&mut self, register: u8) {
        // No circle: when a register becomes pending, nothing that is pending depends on it.
        self.free(register);
        let sum = self.lazy.value(register);
        self.lazy.pending &= !only(register);
        let dst = gpr(register);
        let Sum {
            base,
            index,
            by,
            disp,
            ..
        } = sum;
        match sum.known {
            None if index == NONE && base != NONE => match disp {
                _ if base != register && disp != 0 => {
                    let place = operand(&sum, gpr(base), disp);
                    self.x.lea(W::Q, dst, place);
                }
                _ if base != register => self.x.mov(W::Q, dst, gpr(base)),
                0 => {}
                _ => self.x.alu_imm(W::Q, Alu::Add, dst, disp),
            },
            None if index == NONE => self.x.mov_imm(dst, i64::from(disp) as u64),
            None if base == NONE => {
                // Without a base the operand would need a longer form.
                if index != register {
                    self.x.mov(W::Q, dst, gpr(index));
                }
                self.x.shift_imm(W::Q, Shift::Shl, dst, by);
                if disp != 0 {
                    self.x.alu_imm(W::Q, Alu::Add, dst, disp);
                }
            }
            None if by == 0 && disp == 0 && (base == register || index == register) => {
                let other = if base == register { index } else { base };
                self.x.alu(W::Q, Alu::Add, dst, gpr(other));
            }
            None => {
                let place = operand(&sum, gpr(base), disp);
                self.x.lea(W::Q, dst, place);
            }
            Some(known) if index == NONE => self.x.mov_imm(dst, known),
            Some(known) if by == 0 && index != register => {
                self.x.mov_imm(dst, known);
                self.x.alu(W::Q, Alu::Add, dst, gpr(index));
            }
            Some(known) => {
                self.x.mov_imm(TEMP, known);
                let place = operand(&sum, TEMP, 0);
                self.x.lea(W::Q, dst, place);
            }
        }
    }

    /// Takes note of a sum (`class::SUM`) instead of writing it down; false if it is none after all,
    /// or has no room in an operand. Its code is said once more: where it is known, all else is gone.
    #[inline(always)]
    pub fn postpone(&mut self, op: &Op, code: Code) -> bool {
        let is_sum = match code {
            Code::Mov64X | Code::Add64X => op.dst != op.src,
            Code::Lsh64K => (1..=3).contains(&op.imm),
            // A comparison needs the temporary that such an operand would be in.
            Code::Mov64K => self.options.cage.is_none() && i32::try_from(op.imm as i64).is_err(),
            _ => true,
        };
        if !is_sum {
            return false;
        }
        self.free(op.dst);
        let own = self.lazy.value(op.dst);
        let sum = match code {
            Code::Mov64X => Some(self.lazy.value(op.src)),
            Code::Mov64K => Some(Sum {
                known: Some(op.imm),
                ..Sum::default()
            }),
            Code::Add64X => own.and(self.lazy.value(op.src)),
            Code::Add64K => own.plus(op.imm as i64),
            Code::Sub64K => (op.imm as i64).checked_neg().and_then(|by| own.plus(by)),
            _ => own.shifted(op.imm as u8),
        };
        let Some(sum) = sum else {
            return false;
        };
        self.lazy.put(op.dst, sum);
        true
    }

    /// The operation (`class::BY_REGISTER`) with the register that its second operand is a pending
    /// copy of.
    pub fn with_copied(&self, op: &Op) -> Op {
        match self.lazy.get(op.src).and_then(|sum| sum.copied()) {
            // What the copied register is pending for itself is not what was copied.
            Some(src) if op.src != op.dst && self.lazy.get(src).is_none() => Op { src, ..*op },
            _ => *op,
        }
    }

    /// The operand for an access of the operation at `index` by a pending register: as long as
    /// nothing else is written. `None` where the register stands as it is.
    pub fn place_of(&mut self, index: usize, base: u8, off: i32) -> Mem {
        let Some(sum) = self.lazy.get(base) else {
            return at(gpr(base), off);
        };
        let writes = effects(&self.op(index)).writes;
        let is_read_again = self.plan.live.behind(index) & !writes & only(base) != 0;
        let disp = i64::from(sum.disp) + i64::from(off);
        let Ok(disp) = i32::try_from(disp) else {
            self.write_down(base);
            return at(gpr(base), off);
        };
        if is_read_again {
            self.write_down(base);
            if sum.known.is_some() || sum.parts() & only(base) != 0 {
                return at(gpr(base), off);
            }
        }
        match (sum.known, sum.base) {
            (Some(known), _) => {
                self.x.mov_imm(TEMP, known);
                operand(&sum, TEMP, off)
            }
            (None, NONE) => {
                self.settle(only(base));
                at(gpr(base), off)
            }
            (None, part) => operand(&sum, gpr(part), disp),
        }
    }
}

/// `[base + index of the sum + disp]`
fn operand(sum: &Sum, base: Gpr, disp: i32) -> Mem {
    let index = (sum.index != NONE).then(|| gpr(sum.index));
    Mem {
        base,
        index,
        scale: sum.by,
        disp,
    }
}
