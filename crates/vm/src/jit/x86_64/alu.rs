//! Templates of arithmetic.

use super::{
    compile::{Round, TEMP2, Target, gpr},
    convention::TEMP,
    x86::{Alu, Cc, Gpr, Mem, Shift, W, at},
};
use crate::{
    jit::live::{Set, only},
    op::{Code, Op},
};

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
        Second::Imm(op.imm)
    } else {
        Second::Reg(gpr(op.src))
    };
    (index / 4, w, second)
}

/// An immediate as the 32 bits that an instruction holds, if it can.
pub fn simm(w: W, imm: u64) -> Option<i32> {
    match w {
        W::Q => i32::try_from(imm as i64).ok(),
        W::D => Some(imm as i32),
    }
}

/// Conditions in the order of the branches' codes.
pub(super) const CONDITIONS: [Cc; 11] = [
    Cc::E,
    Cc::Ne,
    Cc::Ne,
    Cc::A,
    Cc::Ae,
    Cc::B,
    Cc::Be,
    Cc::G,
    Cc::Ge,
    Cc::L,
    Cc::Le,
];
/// Which of them tests bits.
pub(super) const SET: usize = 2;

/// The arithmetic that an operation is, if the machine has an instruction of just that: the code's
/// forms are four.
#[inline]
pub fn alu_of(code: Code) -> Option<Alu> {
    static OF: [Option<Alu>; 64] = ALU;
    OF[code as usize / 4]
}

const ALU: [Option<Alu>; 64] = {
    let mut of = [None; 64];
    of[Code::Add64K as usize / 4] = Some(Alu::Add);
    of[Code::Sub64K as usize / 4] = Some(Alu::Sub);
    of[Code::Or64K as usize / 4] = Some(Alu::Or);
    of[Code::And64K as usize / 4] = Some(Alu::And);
    of[Code::Xor64K as usize / 4] = Some(Alu::Xor);
    of
};

/// The width of arithmetic and branches: codes come in the order 64K, 64X, 32K, 32X.
#[inline(always)]
fn width(code: Code) -> W {
    if code as u8 & 2 == 0 { W::Q } else { W::D }
}

const _: () = assert!((Code::Add64K as u8).is_multiple_of(4));
/// Where the first of the branches lies among four.
pub(super) const BRANCHES: u8 = Code::JEq64K as u8;

impl Round<'_> {
    /// Writes an operation that [`alu_of`] knows.
    #[inline(always)]
    pub fn alu_operation(&mut self, op: &Op, by_register: bool) {
        static OF: [Alu; 64] = {
            let mut of = [Alu::Add; 64];
            let mut code = 0;
            while code < of.len() {
                if let Some(alu) = ALU[code] {
                    of[code] = alu;
                }
                code += 1;
            }
            of
        };
        let alu = OF[op.code as usize / 4 % OF.len()];
        let (w, dst) = (width(op.code), gpr(op.dst));
        if by_register {
            return self.x.alu(w, alu, dst, gpr(op.src));
        }
        match simm(w, op.imm) {
            Some(imm) => self.x.alu_imm(w, alu, dst, imm),
            None => self.alu(w, alu, dst, Second::Imm(op.imm)),
        }
    }

    /// Writes a shift by a number.
    #[inline(always)]
    pub fn shift_by_number(&mut self, op: &Op) {
        const SHIFTS: [Shift; 4] = [Shift::Shl, Shift::Shr, Shift::Sar, Shift::Sar];
        let shift = SHIFTS[usize::from(op.code as u8 - Code::Lsh64K as u8) / 4 % SHIFTS.len()];
        self.shift(width(op.code), shift, gpr(op.dst), Second::Imm(op.imm));
    }

    /// Writes a product.
    #[inline(always)]
    pub fn product(&mut self, op: &Op, by_register: bool) {
        let second = match by_register {
            true => Second::Reg(gpr(op.src)),
            false => Second::Imm(op.imm),
        };
        self.multiply(width(op.code), gpr(op.dst), second);
    }

    /// Writes any other arithmetic operation; false if it is none.
    pub fn arithmetic(&mut self, op: &Op) -> bool {
        let dst = gpr(op.dst);
        match op.code {
            code if (Code::Add64K..=Code::Mov32X).contains(&code) => self.binary(op),
            Code::Neg64 => self.x.neg(W::Q, dst),
            Code::Neg32 => self.x.neg(W::D, dst),
            Code::Sx8To64 => self.x.movsx(W::Q, 8, dst, gpr(op.src)),
            Code::Sx16To64 => self.x.movsx(W::Q, 16, dst, gpr(op.src)),
            Code::Sx32To64 => self.x.movsx(W::Q, 32, dst, gpr(op.src)),
            Code::Sx8To32 => self.x.movsx(W::D, 8, dst, gpr(op.src)),
            Code::Sx16To32 => self.x.movsx(W::D, 16, dst, gpr(op.src)),
            Code::Zext16 => self.x.movzx(16, dst, dst),
            Code::Zext32 => self.x.mov(W::D, dst, dst),
            Code::Swap16 => {
                self.x.swap16(dst);
                self.x.movzx(16, dst, dst);
            }
            Code::Swap32 => self.x.bswap(W::D, dst),
            Code::Swap64 => self.x.bswap(W::Q, dst),
            Code::CastKernel => self.x.mov(W::D, dst, gpr(op.src)),
            Code::CastUser => {
                self.x.mov(W::D, dst, gpr(op.src));
                self.x.test(W::D, dst, dst);
                let null = self.x.jcc(Cc::E, true);
                self.x.mov_imm(TEMP, op.imm);
                self.x.alu(W::Q, Alu::Or, dst, TEMP);
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
            2 => self.multiply(w, dst, second),
            3..=6 => self.divide(w, dst, second, operation < 5, operation.is_multiple_of(2)),
            10 => self.shift(w, Shift::Shl, dst, second),
            11 => self.shift(w, Shift::Shr, dst, second),
            12 => self.shift(w, Shift::Sar, dst, second),
            _ => self.copy(w, dst, second),
        }
    }

    fn copy(&mut self, w: W, dst: Gpr, second: Second) {
        match (w, second) {
            (W::Q, Second::Imm(imm)) => self.x.mov_imm(dst, imm),
            (W::D, Second::Imm(imm)) => self.x.mov_imm(dst, u64::from(imm as u32)),
            (W::Q, Second::Reg(src)) if src == dst => {}
            (_, Second::Reg(src)) => self.x.mov(w, dst, src),
        }
    }

    /// The operand in a register: its own, or loaded into the temporary.
    fn in_register(&mut self, w: W, second: Second) -> Gpr {
        match second {
            Second::Reg(src) => src,
            Second::Imm(imm) => {
                let imm = if w == W::D {
                    u64::from(imm as u32)
                } else {
                    imm
                };
                self.x.mov_imm(TEMP, imm);
                TEMP
            }
        }
    }

    fn alu(&mut self, w: W, alu: Alu, dst: Gpr, second: Second) {
        if let Second::Imm(imm) = second {
            if alu == Alu::And && w == W::Q && imm <= u64::from(u32::MAX) {
                // The upper half becomes zero either way.
                return self.x.alu_imm(W::D, alu, dst, imm as u32 as i32);
            }
            if let Some(imm) = simm(w, imm) {
                return self.x.alu_imm(w, alu, dst, imm);
            }
        }
        let src = self.in_register(w, second);
        self.x.alu(w, alu, dst, src);
    }

    fn multiply(&mut self, w: W, dst: Gpr, second: Second) {
        if let Second::Imm(imm) = second {
            let imm = if w == W::D {
                u64::from(imm as u32)
            } else {
                imm
            };
            if imm.is_power_of_two() {
                let shift = imm.trailing_zeros() as u8;
                return match shift {
                    0 if w == W::D => self.x.mov(W::D, dst, dst),
                    0 => {}
                    _ => self.x.shift_imm(w, Shift::Shl, dst, shift),
                };
            }
            if let Some(imm) = simm(w, imm) {
                return self.x.imul_imm(w, dst, dst, imm);
            }
        }
        let src = self.in_register(w, second);
        self.x.imul(w, dst, src);
    }

    fn shift(&mut self, w: W, shift: Shift, dst: Gpr, second: Second) {
        let mask = if w == W::Q { 63 } else { 31 };
        match second {
            Second::Imm(imm) => match imm as u8 & mask {
                // A shift by nothing still cuts to the width.
                0 if w == W::D => self.x.mov(W::D, dst, dst),
                0 => {}
                count => self.x.shift_imm(w, shift, dst, count),
            },
            Second::Reg(count) if self.options.bmi2 => self.x.shift_x(w, shift, dst, dst, count),
            Second::Reg(count) => self.shift_by_cl(w, shift, dst, count),
        }
    }

    /// A shift by a register where the count must stand in `cl`.
    fn shift_by_cl(&mut self, w: W, shift: Shift, dst: Gpr, count: Gpr) {
        if dst == Gpr::Rcx {
            self.x.mov(W::Q, TEMP, Gpr::Rcx);
            if count != Gpr::Rcx {
                self.x.mov(W::D, Gpr::Rcx, count);
            }
            self.x.shift_cl(w, shift, TEMP);
            self.x.mov(w, Gpr::Rcx, TEMP);
        } else if count == Gpr::Rcx {
            self.x.shift_cl(w, shift, dst);
        } else {
            self.x.mov(W::Q, TEMP, Gpr::Rcx);
            self.x.mov(W::D, Gpr::Rcx, count);
            self.x.shift_cl(w, shift, dst);
            self.x.mov(W::Q, Gpr::Rcx, TEMP);
        }
    }

    fn divide(&mut self, w: W, dst: Gpr, second: Second, quotient: bool, signed: bool) {
        if let Second::Imm(imm) = second {
            let imm = if w == W::D {
                u64::from(imm as u32)
            } else {
                imm
            };
            if imm == 0 {
                return self.divided_by_zero(w, dst, quotient);
            }
            if !signed && imm.is_power_of_two() {
                return self.divide_by_power(w, dst, imm, quotient);
            }
            if !signed && self.divide_by_product(w, dst, imm, quotient) {
                return;
            }
        }
        self.overwrite(self.not_kept_by_division());
        match second {
            Second::Reg(src) => self.x.mov(w, TEMP, src),
            Second::Imm(imm) => {
                let imm = if w == W::D {
                    u64::from(imm as u32)
                } else {
                    imm
                };
                self.x.mov_imm(TEMP, imm);
            }
        }
        let known = matches!(second, Second::Imm(_));
        let zero = (!known).then(|| {
            self.x.test(w, TEMP, TEMP);
            self.x.jcc(Cc::E, true)
        });
        // MIN / -1 does not fit and would fault: negate instead.
        let minus_one = (signed && !matches!(second, Second::Imm(i) if simm(w, i) != Some(-1)))
            .then(|| {
                self.x.alu_imm(w, Alu::Cmp, TEMP, -1);
                self.x.jcc(Cc::E, true)
            });
        self.divide_by_temp(w, dst, quotient, signed);
        let mut done = [None, None];
        if let Some(minus_one) = minus_one {
            done[0] = Some(self.x.jmp(true));
            self.x.land(minus_one);
            if quotient {
                self.x.neg(w, dst);
            } else {
                self.x.mov_imm(dst, 0);
            }
        }
        if let Some(zero) = zero {
            done[1] = Some(self.x.jmp(true));
            self.x.land(zero);
            self.divided_by_zero(w, dst, quotient);
        }
        for jump in done.into_iter().flatten() {
            self.x.land(jump);
        }
    }

    fn divided_by_zero(&mut self, w: W, dst: Gpr, quotient: bool) {
        if quotient {
            self.x.mov_imm(dst, 0);
        } else if w == W::D {
            self.x.mov(W::D, dst, dst);
        }
    }

    fn divide_by_power(&mut self, w: W, dst: Gpr, imm: u64, quotient: bool) {
        if quotient {
            let shift = Second::Imm(u64::from(imm.trailing_zeros()));
            self.shift(w, Shift::Shr, dst, shift);
        } else {
            self.alu(w, Alu::And, dst, Second::Imm(imm - 1));
        }
    }

    /// Which of the registers that the machine divides with (`r0`, `r3`) nobody reads again. In a
    /// cage they are kept even so.
    fn not_kept_by_division(&self) -> Set {
        match self.options.cage {
            Some(_) => 0,
            None => (only(0) | only(3)) & !self.plan.live.behind(self.current()),
        }
    }

    /// `dst = dst / TEMP` or the remainder; `rax` and `rdx` are given back where they are read again
    /// and not `dst`.
    fn divide_by_temp(&mut self, w: W, dst: Gpr, quotient: bool, signed: bool) {
        let lost = self.not_kept_by_division();
        let keep_rax = dst != Gpr::Rax && lost & only(0) == 0;
        let keep_rdx = dst != Gpr::Rdx && lost & only(3) == 0;
        if keep_rax {
            self.x.mov(W::Q, TEMP2, Gpr::Rax);
        }
        if keep_rdx {
            self.x.push(Gpr::Rdx);
        }
        if dst != Gpr::Rax {
            self.x.mov(w, Gpr::Rax, dst);
        }
        if signed {
            self.x.sign_to_rdx(w);
            self.x.idiv(w, TEMP);
        } else {
            self.x.alu(W::D, Alu::Xor, Gpr::Rdx, Gpr::Rdx);
            self.x.div(w, TEMP);
        }
        let result = if quotient { Gpr::Rax } else { Gpr::Rdx };
        if dst != result {
            self.x.mov(w, dst, result);
        }
        if keep_rdx {
            self.x.pop(Gpr::Rdx);
        }
        if keep_rax {
            self.x.mov(W::Q, Gpr::Rax, TEMP2);
        }
    }

    /// What a comparison of two registers means in flags, and its width; `None` for any other.
    pub fn condition_of_registers(&self, op: &Op) -> Option<(Cc, W)> {
        let (condition, w, second) = form(Code::JEq64K, op);
        match second {
            Second::Reg(_) if condition != SET => Some((*CONDITIONS.get(condition)?, w)),
            _ => None,
        }
    }

    /// Writes a comparison and the branch by it.
    #[inline(always)]
    pub fn conditional(&mut self, index: usize, op: &Op) {
        static OF: [Cc; 64] = {
            let mut of = [Cc::E; 64];
            let mut code = 0;
            while code < 4 * CONDITIONS.len() {
                of[code] = CONDITIONS[code / 4];
                code += 1;
            }
            of
        };
        let target = self.target(index, op);
        if self.lazy.is_any() {
            self.settle(self.plan.live.before(target));
        }
        let form = op.code as u8 - BRANCHES;
        let w = if form & 2 == 0 { W::Q } else { W::D };
        let dst = gpr(op.dst);
        let cc = OF[usize::from(form) % OF.len()];
        let tests = usize::from(form) / 4 == SET;
        match simm(w, op.imm) {
            _ if tests => {
                self.compare(op);
            }
            _ if form & 1 != 0 => self.x.alu(w, Alu::Cmp, dst, gpr(op.src)),
            Some(imm) => self.x.compare_imm(w, dst, imm),
            None => {
                self.compare(op);
            }
        }
        self.jump_if(cc, Target::Op(target));
    }

    /// Sets the flags for a comparison, and says which condition then means `code`.
    pub fn compare(&mut self, op: &Op) -> Option<Cc> {
        if !op.code.is_branch() {
            return None;
        }
        let (condition, w, second) = form(Code::JEq64K, op);
        let dst = gpr(op.dst);
        let set = condition == SET;
        match second {
            Second::Imm(imm) if simm(w, imm).is_some() => {
                let imm = simm(w, imm).unwrap_or(0);
                if set {
                    self.x.test_imm(w, dst, imm);
                } else {
                    self.x.compare_imm(w, dst, imm);
                }
            }
            _ => {
                let src = self.in_register(w, second);
                if set {
                    self.x.test(w, dst, src);
                } else {
                    self.x.alu(w, Alu::Cmp, dst, src);
                }
            }
        }
        CONDITIONS.get(condition).copied()
    }

    /// `[base + offset]` of a program's register.
    pub fn address(&self, base: u8, offset: i32) -> Mem {
        at(gpr(base), offset)
    }
}
