//! Templates of arithmetic. The machine's division is RFC 9669's: by zero it gives 0, and MIN / -1
//! is MIN. Shifts by a register take its low bits.

use super::{
    a64::{Alu, Cc, Gpr, If, W, ZERO},
    compile::{Round, TEMP, TEMPS, gpr},
};
use crate::op::{Code, Op};

/// Second operand, as the code's form says.
#[derive(Clone, Copy)]
enum Second {
    Imm(u64),
    Reg(Gpr),
}

/// Forms come in the order 64K, 64X, 32K, 32X.
fn form(first: Code, op: &Op) -> (usize, W, Second) {
    let index = usize::from(op.code as u8 - first as u8);
    let w = if index % 4 < 2 { W::Q } else { W::D };
    let second = if index.is_multiple_of(2) {
        Second::Imm(w.cut(op.imm))
    } else {
        Second::Reg(gpr(op.src))
    };
    (index / 4, w, second)
}

impl Round<'_> {
    /// Writes an arithmetic operation; false if it is none.
    pub fn arithmetic(&mut self, op: &Op) -> bool {
        let (dst, src) = (gpr(op.dst), gpr(op.src));
        match op.code {
            code if (Code::Add64K..=Code::Mov32X).contains(&code) => self.binary(op),
            Code::Neg64 => self.x.neg(W::Q, dst, dst),
            Code::Neg32 => self.x.neg(W::D, dst, dst),
            Code::Sx8To64 => self.x.sign_extend(W::Q, 8, dst, src),
            Code::Sx16To64 => self.x.sign_extend(W::Q, 16, dst, src),
            Code::Sx32To64 => self.x.sign_extend(W::Q, 32, dst, src),
            Code::Sx8To32 => self.x.sign_extend(W::D, 8, dst, src),
            Code::Sx16To32 => self.x.sign_extend(W::D, 16, dst, src),
            Code::Zext16 => self.x.zero_extend(16, dst, dst),
            Code::Zext32 => self.x.mov(W::D, dst, dst),
            Code::Swap16 => {
                self.x.reverse16(dst, dst);
                self.x.zero_extend(16, dst, dst);
            }
            Code::Swap32 => self.x.reverse(W::D, dst, dst),
            Code::Swap64 => self.x.reverse(W::Q, dst, dst),
            Code::CastKernel => self.x.mov(W::D, dst, src),
            Code::CastUser => {
                self.x.mov(W::D, dst, src);
                let null = self.x.branch_if(If::Zero(W::D, dst), true);
                self.x.mov_imm(TEMP, op.imm);
                self.x.alu(W::Q, Alu::Or, dst, dst, TEMP);
                self.x.land(null);
            }
            _ => return false,
        }
        true
    }

    fn binary(&mut self, op: &Op) {
        let (operation, w, second) = form(Code::Add64K, op);
        let dst = gpr(op.dst);
        match operation {
            0 => self.alu(w, Alu::Add, dst, second),
            1 => self.alu(w, Alu::Sub, dst, second),
            2 => self.multiply(w, dst, second),
            3..=6 => self.divide(w, dst, second, operation < 5, operation.is_multiple_of(2)),
            7 => self.alu(w, Alu::Or, dst, second),
            8 => self.alu(w, Alu::And, dst, second),
            9 => self.alu(w, Alu::Xor, dst, second),
            10 => self.shift(w, Alu::Lsl, dst, second),
            11 => self.shift(w, Alu::Lsr, dst, second),
            12 => self.shift(w, Alu::Asr, dst, second),
            _ => self.copy(w, dst, second),
        }
    }

    fn copy(&mut self, w: W, dst: Gpr, second: Second) {
        match second {
            Second::Imm(imm) => self.x.mov_imm(dst, imm),
            Second::Reg(src) if src == dst && w == W::Q => {}
            Second::Reg(src) => self.x.mov(w, dst, src),
        }
    }

    /// The operand in a register: its own, or loaded into the temporary.
    fn in_register(&mut self, second: Second) -> Gpr {
        match second {
            Second::Reg(src) => src,
            Second::Imm(0) => ZERO,
            Second::Imm(imm) => {
                self.x.mov_imm(TEMP, imm);
                TEMP
            }
        }
    }

    fn alu(&mut self, w: W, alu: Alu, dst: Gpr, second: Second) {
        match second {
            Second::Imm(imm) => self.alu_imm(w, alu, dst, dst, imm),
            Second::Reg(src) => self.x.alu(w, alu, dst, dst, src),
        }
    }

    fn multiply(&mut self, w: W, dst: Gpr, second: Second) {
        match second {
            Second::Imm(imm) if imm.is_power_of_two() => {
                let shift = Second::Imm(u64::from(imm.trailing_zeros()));
                self.shift(w, Alu::Lsl, dst, shift);
            }
            second => {
                let src = self.in_register(second);
                self.x.alu(w, Alu::Mul, dst, dst, src);
            }
        }
    }

    fn shift(&mut self, w: W, shift: Alu, dst: Gpr, second: Second) {
        match second {
            // A shift by nothing still cuts to the width.
            Second::Imm(imm) => match imm as u8 & (w.bits() as u8 - 1) {
                0 if w == W::Q => {}
                0 => self.x.mov(W::D, dst, dst),
                count => self.x.shift_imm(w, shift, dst, dst, count),
            },
            Second::Reg(count) => self.x.alu(w, shift, dst, dst, count),
        }
    }

    fn divide(&mut self, w: W, dst: Gpr, second: Second, quotient: bool, signed: bool) {
        if let Second::Imm(imm) = second
            && !signed
            && imm.is_power_of_two()
        {
            return match quotient {
                true => {
                    let shift = Second::Imm(u64::from(imm.trailing_zeros()));
                    self.shift(w, Alu::Lsr, dst, shift);
                }
                false => self.alu(w, Alu::And, dst, Second::Imm(imm - 1)),
            };
        }
        let src = self.in_register(second);
        let divide = if signed { Alu::Sdiv } else { Alu::Udiv };
        if quotient {
            self.x.alu(w, divide, dst, dst, src);
        } else {
            // A quotient of 0 leaves the dividend, one of MIN times -1 leaves 0.
            self.x.alu(w, divide, TEMPS[1], dst, src);
            self.x.msub(w, dst, TEMPS[1], src, dst);
        }
    }

    /// Compares, and says which condition then means `code`.
    pub fn compare(&mut self, op: &Op) -> Option<If> {
        if !op.code.is_branch() {
            return None;
        }
        let (condition, w, second) = form(Code::JEq64K, op);
        let dst = gpr(op.dst);
        match (condition, second) {
            (0, Second::Imm(0)) => return Some(If::Zero(w, dst)),
            (1, Second::Imm(0)) => return Some(If::NotZero(w, dst)),
            _ => {}
        }
        let compare = if condition == 2 { Alu::Ands } else { Alu::Subs };
        match second {
            Second::Imm(imm) => self.alu_imm(w, compare, ZERO, dst, imm),
            Second::Reg(src) => self.x.alu(w, compare, ZERO, dst, src),
        }
        const CONDITIONS: [Cc; 11] = [
            Cc::Eq,
            Cc::Ne,
            Cc::Ne,
            Cc::Hi,
            Cc::Hs,
            Cc::Lo,
            Cc::Ls,
            Cc::Gt,
            Cc::Ge,
            Cc::Lt,
            Cc::Le,
        ];
        CONDITIONS.get(condition).copied().map(If::Flags)
    }
}
