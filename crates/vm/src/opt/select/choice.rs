//! Comparisons, and choices between two values by them.

use super::*;

impl Selector<'_> {
    pub(super) fn choice(&mut self, dst: Reg, test: Test, a: Value, b: Value) {
        let set = match (self.constant(a), self.constant(b)) {
            (Some(1), Some(0)) => Some(test),
            (Some(0), Some(1)) => Some(test.inverted()),
            _ => None,
        };
        if let Some(test) = set {
            let (compare, cc) = self.compare(test);
            return self.group.push(Inst::Set(compare, cc, dst));
        }
        let (test, a, b) = match self.dies(a) && !self.dies(b) {
            true => (test.inverted(), b, a),
            false => (test, a, b),
        };
        let (then, other) = (self.reg(a), self.reg(b));
        let (compare, cc) = self.compare(test);
        self.group.push(Inst::Select(compare, cc, dst, other, then));
    }

    /// A sum with 1 or 0 by a comparison that leaves it in the carry.
    pub(super) fn counted(&mut self, dst: Reg, width: Width, a: Value, b: Value) -> Option<Inst> {
        let one = |v: Value| match self.func.node(v) {
            Node::Select(test, x, y) if self.is_single(v) && !self.needed[v.index()] => {
                match (self.constant(x)?, self.constant(y)?) {
                    (1, 0) => Some(test),
                    (0, 1) => Some(test.inverted()),
                    _ => None,
                }
            }
            _ => None,
        };
        let (test, to) = match (one(b), one(a)) {
            (Some(test), _) => (test, a),
            (None, Some(test)) => (test, b),
            (None, None) => return None,
        };
        let c = self.constant(test.b);
        // Whether the carry is set where the test holds.
        let (compare, carries) = match (test.cond, c) {
            (Cond::Ult | Cond::Uge, _) => {
                let (compare, cc) = self.compare(test);
                (compare, cc == Cc::B)
            }
            (Cond::Eq | Cond::Ne, c) => {
                let imm = match c {
                    Some(c) => Some(simm(test.width, c)?.checked_neg()?),
                    None => None,
                };
                let from = self.reg(test.a);
                let distance = self.temp();
                let inst = match imm {
                    Some(disp) => {
                        let addr = Addr {
                            base: Base::Reg(from),
                            index: None,
                            disp,
                        };
                        Inst::Lea(w(test.width), distance, addr)
                    }
                    None => {
                        let other = Src::Reg(self.reg(test.b));
                        Inst::Alu(w(test.width), Alu::Sub, distance, from, other)
                    }
                };
                if imm != Some(0) {
                    self.group.push(inst);
                }
                let compare = Compare {
                    test: false,
                    bytes: bytes(test.width),
                    a: Src::Reg(if imm == Some(0) { from } else { distance }),
                    b: Src::Imm(1),
                };
                (compare, test.cond == Cond::Eq)
            }
            _ => return None,
        };
        let to = self.reg(to);
        Some(Inst::Carry(w(width), compare, carries, dst, to))
    }

    /// Flags for a test, and the condition that then means it.
    pub(super) fn compare(&mut self, test: Test) -> (Compare, Cc) {
        let is_test = matches!(test.cond, Cond::Set | Cond::Clear);
        let cc = match test.cond {
            Cond::Eq | Cond::Clear => Cc::E,
            Cond::Ne | Cond::Set => Cc::Ne,
            Cond::Ugt => Cc::A,
            Cond::Uge => Cc::Ae,
            Cond::Ult => Cc::B,
            Cond::Ule => Cc::Be,
            Cond::Sgt => Cc::G,
            Cond::Sge => Cc::Ge,
            Cond::Slt => Cc::L,
            Cond::Sle => Cc::Le,
        };
        let mut width = test.width;
        let constant = self.constant(test.b);
        if let Some(c) = constant {
            if is_test && c <= u64::from(u32::MAX) {
                width = W32;
            }
            let unsigned = match cc {
                Cc::G => Cc::A,
                Cc::Ge => Cc::Ae,
                Cc::L => Cc::B,
                Cc::Le => Cc::Be,
                cc => cc,
            };
            if !is_test
                && c <= 0xff
                && let Some(addr) = self.load(test.a, 1, false)
            {
                let compare = Compare {
                    test: false,
                    bytes: 1,
                    a: Src::Mem(addr),
                    b: Src::Imm(c as i32),
                };
                return (compare, unsigned);
            }
            if let Some(imm) = simm(width, c) {
                if !is_test && let Some(addr) = self.load(test.a, bytes(width), false) {
                    let compare = Compare {
                        test: false,
                        bytes: bytes(width),
                        a: Src::Mem(addr),
                        b: Src::Imm(imm),
                    };
                    return (compare, cc);
                }
                let a = self.reg(test.a);
                let zero = !is_test && imm == 0;
                let compare = Compare {
                    test: is_test || zero,
                    bytes: bytes(width),
                    a: Src::Reg(a),
                    b: if zero { Src::Reg(a) } else { Src::Imm(imm) },
                };
                return (compare, cc);
            }
        }
        let b = match is_test {
            true => Src::Reg(self.reg(test.b)),
            false => self.src(width, test.b),
        };
        let a = Src::Reg(self.reg(test.a));
        let compare = Compare {
            test: is_test,
            bytes: bytes(width),
            a,
            b,
        };
        (compare, cc)
    }
}
