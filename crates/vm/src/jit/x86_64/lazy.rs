//! Sums that are not written down before they are needed: an address becomes the operand of the
//! access, a copy the copied register. What is pending is known by the machine's registers as they
//! are, so whatever overwrites one of them writes down first what depends on it.
//!
//! In a cage the same operand is compared that is used then. Whether it needs to be is known of what
//! the register stands for.

use super::{
    class::{self, Class},
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
    /// An address that is known, or a number of 32 bits.
    number: i64,
    is_known: bool,
    /// [`NONE`] where there is none: always beside an address that is known.
    base: u8,
    index: u8,
    /// By how much the index is shifted.
    by: u8,
}

/// No register: its bit in a set is no register's.
const NONE: u8 = 15;

/// Zero.
const NOTHING: Sum = Sum {
    number: 0,
    is_known: false,
    base: NONE,
    index: NONE,
    by: 0,
};

impl Sum {
    const fn of(register: u8) -> Sum {
        Sum {
            base: register,
            ..NOTHING
        }
    }

    const fn known(address: u64) -> Sum {
        Sum {
            number: address as i64,
            is_known: true,
            ..NOTHING
        }
    }

    /// The number beside registers.
    #[inline]
    fn disp(&self) -> i32 {
        self.number as i32
    }

    /// Registers that it is made of.
    #[inline]
    fn parts(&self) -> Set {
        (only(self.base) | only(self.index)) & !only(NONE)
    }

    /// The one register that it is, unchanged.
    #[inline]
    fn copied(&self) -> Option<u8> {
        let plain = self.index == NONE && self.number == 0;
        (plain && self.base != NONE).then_some(self.base)
    }

    #[inline]
    fn plus(self, by: i64) -> Option<Sum> {
        let number = self.number.wrapping_add(by);
        // Beside registers the number is one of 32 bits: what overflows is none.
        let fits = self.is_known || i32::try_from(number).is_ok();
        fits.then_some(Sum { number, ..self })
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
    #[inline]
    fn and(self, other: Sum) -> Option<Sum> {
        if self.is_known && other.is_known {
            return None;
        }
        let is_known = self.is_known || other.is_known;
        let mut sum = Sum {
            number: self.number.wrapping_add(other.number),
            is_known,
            ..NOTHING
        };
        if !is_known && i32::try_from(sum.number).is_err() {
            return None;
        }
        // A known address takes the base's place.
        let parts = [
            (self.base, 0),
            (other.base, 0),
            (self.index, self.by),
            (other.index, other.by),
        ];
        for (register, by) in parts {
            if register == NONE {
                continue;
            }
            if by == 0 && sum.base == NONE && !is_known {
                sum.base = register;
            } else if sum.index == NONE {
                (sum.index, sum.by) = (register, by);
            } else {
                return None;
            }
        }
        Some(sum)
    }
}

/// Room for sets and sums by register, a power of two.
const REGISTERS: usize = 16;

/// What is pending.
#[derive(Clone)]
pub struct Lazy {
    pending: Set,
    /// By register: those whose sum, pending or not any more, is made of it.
    users: [Set; REGISTERS],
    /// What registers stand for: themselves, and behind that the sums that were put last. Which of the
    /// two it is nobody could foresee.
    sums: [Sum; 2 * REGISTERS],
}

impl Default for Lazy {
    fn default() -> Lazy {
        const SUMS: [Sum; 2 * REGISTERS] = {
            let mut sums = [NOTHING; 2 * REGISTERS];
            let mut register = 0;
            while register < NONE {
                sums[register as usize] = Sum::of(register);
                register += 1;
            }
            sums
        };
        Lazy {
            pending: 0,
            users: [0; REGISTERS],
            sums: SUMS,
        }
    }
}

/// A register's place in an array.
#[inline(always)]
fn place(register: u8) -> usize {
    usize::from(register) % REGISTERS
}

impl Lazy {
    #[inline]
    fn get(&self, register: u8) -> Option<Sum> {
        let is_pending = self.pending & only(register) != 0;
        is_pending.then(|| self.sums[REGISTERS + place(register)])
    }

    /// The sum that a register stands for.
    #[inline(always)]
    fn value(&self, register: u8) -> Sum {
        let pending = usize::from(self.pending >> place(register) & 1);
        self.sums[pending * REGISTERS + place(register)]
    }

    /// The pending registers, other than this one, that are made of it.
    #[inline(always)]
    fn dependents(&self, register: u8) -> Set {
        self.users[place(register)] & self.pending & !only(register)
    }

    #[inline(always)]
    fn put(&mut self, register: u8, sum: Sum) {
        let own = only(register);
        let at = REGISTERS + place(register);
        let old = self.sums[at];
        self.users[place(old.base)] &= !own;
        self.users[place(old.index)] &= !own;
        self.users[place(sum.base)] |= own;
        self.users[place(sum.index)] |= own;
        self.sums[at] = sum;
        self.pending |= own;
    }

    /// Whether anything is pending.
    #[inline(always)]
    pub fn is_any(&self) -> bool {
        self.pending != 0
    }

    /// Nothing is pending.
    pub fn forget_all(&mut self) {
        self.pending = 0;
    }
}

impl Round<'_> {
    /// In front of an operation: what is read no more is forgotten.
    #[inline(always)]
    pub fn forget_dead(&mut self, live: Set) {
        self.lazy.pending &= live;
    }

    /// Writes down all that is pending: in front of what jumps lead to.
    #[inline]
    pub fn settle_all(&mut self) {
        self.settle(self.lazy.pending);
    }

    /// Writes down what is pending of these registers.
    #[inline]
    pub fn settle(&mut self, registers: Set) {
        while self.lazy.pending & registers != 0 {
            let register = (self.lazy.pending & registers).trailing_zeros() as u8;
            self.write_down(register);
        }
    }

    /// Whether an operation of a class has nothing to do with what is pending: seldom not, where it
    /// says so. In a cage it is seldom asked.
    #[inline(always)]
    pub fn concerns_nothing_pending(&self, op: &Op, class: Class) -> bool {
        let pending = self.lazy.pending;
        if self.options.cage.is_some() {
            return pending == 0;
        }
        if !class::is_plain(class) {
            let Effects { reads, writes } = effects(op);
            let used = match writes.count_ones() {
                0 => 0,
                1 => self.lazy.users[writes.trailing_zeros() as usize],
                _ => pending,
            };
            return pending & (reads | writes | used) == 0;
        }
        let mut concerned = only(op.dst);
        if class & (class::BY_REGISTER | class::ACCESS) != 0 {
            concerned |= only(op.src);
        }
        if class & class::PURE != 0 {
            concerned |= self.lazy.users[place(op.dst)];
        }
        pending & concerned == 0
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
    #[inline]
    pub fn overwrite(&mut self, registers: Set) {
        self.lazy.pending &= !registers;
        let mut left = registers;
        while left != 0 && self.lazy.pending != 0 {
            self.free(left.trailing_zeros() as u8);
            left &= left - 1;
        }
    }

    /// The same for an operation that reads this register first, by [`Round::place_of`].
    pub fn overwrite_beside(&mut self, registers: Set, read: u8) {
        self.lazy.pending &= !registers | only(read);
        let mut left = registers;
        while left != 0 {
            let register = left.trailing_zeros() as u8;
            self.settle_dependents(register, only(read));
            left &= left - 1;
        }
    }

    /// Whether a register is not what it stands for.
    pub fn is_pending(&self, register: u8) -> bool {
        self.lazy.pending & only(register) != 0
    }

    /// Writes down what depends on a register.
    #[inline(always)]
    fn free(&mut self, register: u8) {
        if self.lazy.dependents(register) != 0 {
            self.settle_dependents(register, 0);
        }
    }

    /// The same of all but those left out.
    fn settle_dependents(&mut self, register: u8, left_out: Set) {
        loop {
            let others = self.lazy.dependents(register) & !left_out;
            if others == 0 {
                break;
            }
            self.write_down(others.trailing_zeros() as u8);
        }
    }

    fn write_down(&mut self, register: u8) {
        // No circle: when a register becomes pending, nothing that is pending depends on it.
        self.free(register);
        let sum = self.lazy.value(register);
        self.lazy.pending &= !only(register);
        let dst = gpr(register);
        let (base, index, by, disp) = (sum.base, sum.index, sum.by, sum.disp());
        if sum.is_known {
            return self.write_known(register, &sum);
        }
        match (base, index) {
            (NONE, NONE) => self.x.mov_imm(dst, sum.number as u64),
            (_, NONE) if base != register => match disp {
                0 => self.x.mov(W::Q, dst, gpr(base)),
                _ => self.x.lea(W::Q, dst, at(gpr(base), disp)),
            },
            (_, NONE) if disp == 0 => {}
            (_, NONE) => self.x.alu_imm(W::Q, Alu::Add, dst, disp),
            (NONE, _) => {
                // Without a base the operand would need a longer form.
                if index != register {
                    self.x.mov(W::Q, dst, gpr(index));
                }
                self.x.shift_imm(W::Q, Shift::Shl, dst, by);
                if disp != 0 {
                    self.x.alu_imm(W::Q, Alu::Add, dst, disp);
                }
            }
            _ if by == 0 && disp == 0 && (base == register || index == register) => {
                let other = if base == register { index } else { base };
                self.x.alu(W::Q, Alu::Add, dst, gpr(other));
            }
            _ => self.x.lea(W::Q, dst, operand(&sum, gpr(base), disp)),
        }
    }

    /// Writes down a sum with an address that is known.
    fn write_known(&mut self, register: u8, sum: &Sum) {
        let dst = gpr(register);
        let known = sum.number as u64;
        if sum.index == NONE {
            self.x.mov_imm(dst, known);
        } else if sum.by == 0 && sum.index != register {
            self.x.mov_imm(dst, known);
            self.x.alu(W::Q, Alu::Add, dst, gpr(sum.index));
        } else {
            self.x.mov_imm(TEMP, known);
            self.x.lea(W::Q, dst, operand(sum, TEMP, 0));
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
            Code::Mov64K => Some(Sum::known(op.imm)),
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
        let disp = i64::from(if sum.is_known { 0 } else { sum.disp() }) + i64::from(off);
        let Ok(disp) = i32::try_from(disp) else {
            self.write_down(base);
            return at(gpr(base), off);
        };
        if is_read_again {
            self.write_down(base);
            if sum.is_known || sum.parts() & only(base) != 0 {
                return at(gpr(base), off);
            }
        }
        if sum.is_known {
            self.x.mov_imm(TEMP, sum.number as u64);
            return operand(&sum, TEMP, off);
        }
        match sum.base {
            NONE => {
                self.settle(only(base));
                at(gpr(base), off)
            }
            part => operand(&sum, gpr(part), disp),
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
