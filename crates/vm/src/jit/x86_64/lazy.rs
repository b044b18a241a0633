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
    jit::live::{Set, effects, only, unproven_reads},
    op::{Code, Op},
};

/// A sum: an address that is known or a register, a register that is shifted, a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    known: Option<u64>,
    base: Option<u8>,
    index: Option<(u8, u8)>,
    disp: i32,
}

impl Sum {
    fn of(register: u8) -> Sum {
        Sum {
            base: Some(register),
            ..Sum::default()
        }
    }

    /// Registers that it is made of.
    fn parts(&self) -> Set {
        self.base.map_or(0, only) | self.index.map_or(0, |(index, _)| only(index))
    }

    /// The one register that it is, unchanged.
    fn copied(&self) -> Option<u8> {
        match *self {
            Sum {
                known: None,
                base,
                index: None,
                disp: 0,
            } => base,
            _ => None,
        }
    }

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
            index: Some((register, by)),
            ..Sum::default()
        })
    }

    /// Both together, if an operand has room for it.
    fn and(self, other: Sum) -> Option<Sum> {
        let known = match (self.known, other.known) {
            (Some(_), Some(_)) => return None,
            (known, None) | (None, known) => known,
        };
        let mut sum = Sum {
            known,
            ..Sum::default()
        };
        // A known address takes the base's place.
        let bases = [self.base, other.base].into_iter().flatten();
        let indices = [self.index, other.index].into_iter().flatten();
        for (register, by) in bases.map(|base| (base, 0)).chain(indices) {
            if by == 0 && sum.base.is_none() && known.is_none() {
                sum.base = Some(register);
            } else if sum.index.is_none() {
                sum.index = Some((register, by));
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
    sums: [Sum; 12],
}

impl Lazy {
    fn get(&self, register: u8) -> Option<Sum> {
        let is_pending = self.pending & only(register) != 0;
        is_pending.then(|| self.sums[usize::from(register) % self.sums.len()])
    }

    /// The sum that a register stands for.
    fn value(&self, register: u8) -> Sum {
        self.get(register).unwrap_or(Sum::of(register))
    }

    /// A pending register, other than this one and those left out, that is made of it.
    fn dependent(&self, register: u8, left_out: Set) -> Option<u8> {
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
}

impl Round<'_> {
    /// In front of an operation: what is read no more is forgotten.
    pub fn forget_dead(&mut self, index: usize) {
        self.lazy.pending &= self.plan.live.before(index);
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
        let mut left = registers;
        while left != 0 {
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
        match sum {
            Sum {
                known: Some(known),
                index: None,
                ..
            } => self.x.mov_imm(dst, known),
            Sum {
                known: Some(known),
                index: Some((index, 0)),
                ..
            } if index != register => {
                self.x.mov_imm(dst, known);
                self.x.alu(W::Q, Alu::Add, dst, gpr(index));
            }
            Sum {
                known: Some(known), ..
            } => {
                self.x.mov_imm(TEMP, known);
                let place = operand(&sum, TEMP, 0);
                self.x.lea(W::Q, dst, place);
            }
            Sum {
                base: Some(base),
                index: None,
                disp,
                ..
            } if base == register || disp == 0 => {
                if base != register {
                    self.x.mov(W::Q, dst, gpr(base));
                } else if disp != 0 {
                    self.x.alu_imm(W::Q, Alu::Add, dst, disp);
                }
            }
            Sum {
                base: Some(base),
                index: Some((index, 0)),
                disp: 0,
                ..
            } if base == register || index == register => {
                let other = if base == register { index } else { base };
                self.x.alu(W::Q, Alu::Add, dst, gpr(other));
            }
            Sum {
                base: None,
                index: Some((index, by)),
                disp: 0,
                ..
            } => {
                if index != register {
                    self.x.mov(W::Q, dst, gpr(index));
                }
                self.x.shift_imm(W::Q, Shift::Shl, dst, by);
            }
            Sum {
                base: None,
                index: Some((index, by)),
                disp,
                ..
            } => {
                // Without a base the operand would need a longer form.
                if index != register {
                    self.x.mov(W::Q, dst, gpr(index));
                }
                self.x.shift_imm(W::Q, Shift::Shl, dst, by);
                self.x.alu_imm(W::Q, Alu::Add, dst, disp);
            }
            Sum {
                base: Some(base), ..
            } => {
                let place = operand(&sum, gpr(base), sum.disp);
                self.x.lea(W::Q, dst, place);
            }
            Sum {
                base: None,
                index: None,
                disp,
                ..
            } => self.x.mov_imm(dst, i64::from(disp) as u64),
        }
    }

    /// Takes note of a sum instead of writing it down; false if the operation is none, or has no
    /// room in an operand.
    pub fn postpone(&mut self, op: &Op) -> bool {
        let is_sum = match op.code {
            Code::Mov64X | Code::Add64X => op.dst != op.src,
            Code::Add64K | Code::Sub64K => true,
            Code::Lsh64K => (1..=3).contains(&op.imm),
            // A comparison needs the temporary that such an operand would be in.
            Code::Mov64K => self.options.cage.is_none() && i32::try_from(op.imm as i64).is_err(),
            _ => false,
        };
        if !is_sum {
            return false;
        }
        self.free(op.dst);
        let own = self.lazy.value(op.dst);
        let sum = match op.code {
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
        self.lazy.pending |= only(op.dst);
        self.lazy.sums[usize::from(op.dst) % self.lazy.sums.len()] = sum;
        true
    }

    /// The operation with the register that its second operand is a pending copy of.
    pub fn with_copied(&self, op: &Op) -> Op {
        let by_register = (op.code <= Code::Mov32X && op.code as u8 % 2 == 1)
            || (op.code.is_branch() && (op.code as u8 - Code::JEq64K as u8) % 2 == 1)
            || matches!(
                op.code,
                Code::St8X
                    | Code::St16X
                    | Code::St32X
                    | Code::St64X
                    | Code::StFrame8X
                    | Code::StFrame16X
                    | Code::StFrame32X
                    | Code::StFrame64X
            );
        match self.lazy.get(op.src).and_then(|sum| sum.copied()) {
            // What the copied register is pending for itself is not what was copied.
            Some(src) if by_register && op.src != op.dst && self.lazy.get(src).is_none() => {
                Op { src, ..*op }
            }
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
            (None, Some(part)) => operand(&sum, gpr(part), disp),
            (None, None) => {
                self.settle(only(base));
                at(gpr(base), off)
            }
        }
    }
}

/// `[base + index of the sum + disp]`
fn operand(sum: &Sum, base: Gpr, disp: i32) -> Mem {
    Mem {
        base,
        index: sum.index.map(|(index, _)| gpr(index)),
        scale: sum.index.map_or(0, |(_, by)| by),
        disp,
    }
}
