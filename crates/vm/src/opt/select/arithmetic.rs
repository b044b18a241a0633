//! Arithmetic of two values.

use super::{
    address::{stretch, stretched},
    *,
};

impl Selector<'_> {
    pub(super) fn bin(&mut self, dst: Reg, bin: Bin, width: Width, a: Value, b: Value) {
        let inst = match bin {
            Bin::Add => return self.add(dst, width, a, b),
            Bin::Sub => self.alu(dst, Alu::Sub, width, a, b),
            Bin::Or => self.alu(dst, Alu::Or, width, a, b),
            Bin::Xor => self.alu(dst, Alu::Xor, width, a, b),
            Bin::And => self.and(dst, width, a, b),
            Bin::Mul => self.mul(dst, width, a, b),
            Bin::MulHigh => {
                let (a, b) = (self.reg(a), self.reg(b));
                Inst::MulHigh(dst, a, b)
            }
            Bin::Shl => self.shift(dst, Shift::Shl, width, a, b),
            Bin::Shr => self.shift(dst, Shift::Shr, width, a, b),
            Bin::Sar => self.shift(dst, Shift::Sar, width, a, b),
            Bin::Rol => match self.constant(b) {
                Some(count) => {
                    let a = self.reg(a);
                    Inst::Rol(w(width), dst, a, count as u8)
                }
                None => {
                    let (a, count) = (self.reg(a), self.reg(b));
                    Inst::RolCl(w(width), dst, a, count)
                }
            },
            Bin::UDiv | Bin::SDiv | Bin::UMod | Bin::SMod => {
                let known = self.constant(b).is_some_and(|c| c != 0);
                let (a, b) = (self.reg(a), self.reg(b));
                Inst::Div {
                    w: w(width),
                    signed: matches!(bin, Bin::SDiv | Bin::SMod),
                    quotient: matches!(bin, Bin::UDiv | Bin::SDiv),
                    dst,
                    a,
                    b,
                    known,
                }
            }
        };
        self.group.push(inst);
    }

    pub(super) fn alu(&mut self, dst: Reg, alu: Alu, width: Width, a: Value, b: Value) -> Inst {
        // The operand that dies gives its register to the result.
        let swap = alu != Alu::Sub
            && self.constant(b).is_none()
            && !matches!(self.func.node(b), Node::Load(..))
            && (matches!(self.func.node(a), Node::Load(..)) || !self.dies(a))
            && self.dies(b);
        let (a, b) = if swap { (b, a) } else { (a, b) };
        let b = self.src(width, b);
        let a = self.reg(a);
        Inst::Alu(w(width), alu, dst, a, b)
    }

    pub(super) fn and(&mut self, dst: Reg, width: Width, a: Value, b: Value) -> Inst {
        match self.constant(b) {
            Some(0xff) => {
                let a = self.reg(a);
                Inst::Zext(8, dst, a)
            }
            Some(0xffff) => {
                let a = self.reg(a);
                Inst::Zext(16, dst, a)
            }
            Some(0xffff_ffff) => {
                let a = self.reg(a);
                Inst::Zext(32, dst, a)
            }
            // The upper half becomes zero either way.
            Some(c) if c <= u64::from(u32::MAX) => {
                let a = self.reg(a);
                Inst::Alu(W::D, Alu::And, dst, a, Src::Imm(c as i32))
            }
            _ => self.alu(dst, Alu::And, width, a, b),
        }
    }

    pub(super) fn add(&mut self, dst: Reg, width: Width, a: Value, b: Value) {
        let constant = self.constant(b).and_then(|c| simm(width, c));
        if let Some(imm) = constant {
            if let Node::Bin(Bin::Add, inner, x, y) = self.func.node(a)
                && self.is_single(a)
                && !self.needed[a.index()]
                && (inner == W64 || width == W32)
                && self.constant(y).is_none()
            {
                let addr = self.sum(width, x, y, imm);
                return self.group.push(Inst::Lea(w(width), dst, addr));
            }
            if !self.dies(a) {
                let addr = Addr {
                    base: Base::Reg(self.reg(a)),
                    index: None,
                    disp: imm,
                };
                return self.group.push(Inst::Lea(w(width), dst, addr));
            }
        } else if self.constant(b).is_none() {
            if let Some(inst) = self.counted(dst, width, a, b) {
                return self.group.push(inst);
            }
            let load = |v: Value| {
                let here = (self.home[v.index()], self.color[v.index()]);
                matches!(self.func.node(v), Node::Load(..)) && self.is_single(v) && here == self.at
            };
            let scaled = self.scaled(width, b).is_some() || self.scaled(width, a).is_some();
            let both_live = !self.dies(a) && !self.dies(b);
            if (scaled || both_live) && !load(a) && !load(b) {
                let addr = self.sum(width, a, b, 0);
                return self.group.push(Inst::Lea(w(width), dst, addr));
            }
        }
        let inst = self.alu(dst, Alu::Add, width, a, b);
        self.group.push(inst);
    }

    pub(super) fn mul(&mut self, dst: Reg, width: Width, a: Value, b: Value) -> Inst {
        let low = match width {
            W32 => u64::from(u32::MAX),
            W64 => u64::MAX,
        };
        match self.constant(b) {
            Some(c) if stretched(c).is_some_and(|(_, shift)| shift < 32) => {
                let (times, shift) = stretched(c).unwrap_or((1, 0));
                let addr = stretch(self.reg(a), times);
                if shift == 0 {
                    return Inst::Lea(w(width), dst, addr);
                }
                let temp = self.temp();
                self.group.push(Inst::Lea(w(width), temp, addr));
                Inst::Shift(w(width), Shift::Shl, dst, temp, shift)
            }
            // A shift and a sum come sooner than a product.
            Some(c) if c > 9 && (c - 1).is_power_of_two() => {
                let shifted = self.shifted(width, a, c - 1);
                let a = self.reg(a);
                Inst::Alu(w(width), Alu::Add, dst, shifted, Src::Reg(a))
            }
            Some(c) if c > 3 && c < low && (c + 1).is_power_of_two() => {
                let shifted = self.shifted(width, a, c + 1);
                let a = self.reg(a);
                Inst::Alu(w(width), Alu::Sub, dst, shifted, Src::Reg(a))
            }
            Some(c) if simm(width, c).is_some() => {
                let src = self.load(a, bytes(width), false).map(Src::Mem);
                let src = src.unwrap_or_else(|| Src::Reg(self.reg(a)));
                Inst::MulImm(w(width), dst, src, simm(width, c).unwrap_or(0))
            }
            Some(_) => {
                let (a, b) = (self.reg(a), self.reg(b));
                Inst::Mul(w(width), dst, a, Src::Reg(b))
            }
            None => {
                let (a, b) = match self.dies(b) && !self.dies(a) {
                    true => (b, a),
                    false => (a, b),
                };
                let b = self.src(width, b);
                let a = self.reg(a);
                Inst::Mul(w(width), dst, a, b)
            }
        }
    }

    /// A value times a power of two.
    fn shifted(&mut self, width: Width, a: Value, by: u64) -> Reg {
        let a = self.reg(a);
        let temp = self.temp();
        let count = by.trailing_zeros() as u8;
        self.group
            .push(Inst::Shift(w(width), Shift::Shl, temp, a, count));
        temp
    }

    pub(super) fn shift(
        &mut self,
        dst: Reg,
        shift: Shift,
        width: Width,
        a: Value,
        b: Value,
    ) -> Inst {
        match self.constant(b) {
            Some(1) if shift == Shift::Shl && !self.dies(a) => {
                let a = self.reg(a);
                let addr = Addr {
                    base: Base::Reg(a),
                    index: Some((a, 0)),
                    disp: 0,
                };
                Inst::Lea(w(width), dst, addr)
            }
            Some(count) => {
                let a = self.reg(a);
                Inst::Shift(w(width), shift, dst, a, count as u8)
            }
            None if self.machine.bmi2 => {
                let (a, count) = (self.reg(a), self.reg(b));
                Inst::ShiftX(w(width), shift, dst, a, count)
            }
            None => {
                let (a, count) = (self.reg(a), self.reg(b));
                Inst::ShiftCl(w(width), shift, dst, a, count)
            }
        }
    }
}
