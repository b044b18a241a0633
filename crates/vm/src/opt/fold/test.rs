//! Tests that are decided, or simpler ones.

use super::*;

impl Rewriter<'_> {
    /// What a test says, or a simpler one.
    pub fn test(&mut self, test: Test) -> Result<bool, Test> {
        let mut test = test;
        if test.width == W32 {
            test.a = self.needed(test.a, 32);
            test.b = self.needed(test.b, 32);
        }
        if self.func.constant(test.a).is_some() && self.func.constant(test.b).is_none() {
            core::mem::swap(&mut test.a, &mut test.b);
            test.cond = test.cond.swapped();
        }
        if let Some(way) = self.decided(test) {
            return Ok(way);
        }
        if test.a == test.b && !matches!(test.cond, Cond::Set | Cond::Clear) {
            return Ok(test.cond.of(W64, 0, 0));
        }
        if let Some(c) = self.func.constant(test.b) {
            return self.test_constant(test, c);
        }
        Err(test)
    }

    pub(super) fn test_constant(&mut self, test: Test, c: u64) -> Result<bool, Test> {
        let bits = width_bits(test.width);
        let c = c & mask(bits);
        let zeros = self.zeros[test.a.index()] | !mask(bits);
        let most = !zeros;
        let simpler = match test.cond {
            Cond::Ugt if most <= c => return Ok(false),
            Cond::Uge if c == 0 => return Ok(true),
            Cond::Uge if most < c => return Ok(false),
            Cond::Ult if c == 0 => return Ok(false),
            Cond::Ult if most < c => return Ok(true),
            Cond::Ule if most <= c => return Ok(true),
            Cond::Eq if c & zeros != 0 => return Ok(false),
            Cond::Ne if c & zeros != 0 => return Ok(true),
            Cond::Set if c & most == 0 => return Ok(false),
            Cond::Clear if c & most == 0 => return Ok(true),
            Cond::Ugt if c == 0 => Some(Cond::Ne),
            Cond::Ult if c == 1 => {
                let b = self.constant(0);
                return self.test(Test {
                    cond: Cond::Eq,
                    b,
                    ..test
                });
            }
            Cond::Uge if c == 1 => {
                let b = self.constant(0);
                return self.test(Test {
                    cond: Cond::Ne,
                    b,
                    ..test
                });
            }
            _ => None,
        };
        if let Some(cond) = simpler {
            return self.test(Test { cond, ..test });
        }
        // One of two numbers, by what was asked to choose it.
        if let Node::Select(inner, x, y) = self.func.node(test.a)
            && let (Some(x), Some(y)) = (self.func.constant(x), self.func.constant(y))
        {
            let ways = (
                test.cond.of(test.width, x, c),
                test.cond.of(test.width, y, c),
            );
            return match ways {
                (true, false) => self.test(inner),
                (false, true) => self.test(inner.inverted()),
                (way, _) => Ok(way),
            };
        }
        if let Some(sign) = self.sign_test(test, c) {
            return self.test(sign);
        }
        let equal = matches!(test.cond, Cond::Eq | Cond::Ne);
        if equal && c == 0 {
            match self.func.node(test.a) {
                Node::Bin(Bin::And, w, x, y) => {
                    let cond = if test.cond == Cond::Eq {
                        Cond::Clear
                    } else {
                        Cond::Set
                    };
                    let width = if w == W32 { W32 } else { test.width };
                    return self.test(Test {
                        cond,
                        width,
                        a: x,
                        b: y,
                    });
                }
                Node::Bin(Bin::Xor | Bin::Sub, w, x, y) if w == test.width => {
                    return self.test(Test { a: x, b: y, ..test });
                }
                // A pointer or null, by what was asked to get it.
                Node::Select(inner, x, y)
                    if self.func.constant(y) == Some(0) && self.is_not_zero(x) =>
                {
                    let inner = if test.cond == Cond::Eq {
                        inner.inverted()
                    } else {
                        inner
                    };
                    return self.test(inner);
                }
                _ => {}
            }
        }
        // A narrow comparison is shorter.
        let unsigned = !matches!(test.cond, Cond::Sgt | Cond::Sge | Cond::Slt | Cond::Sle);
        let low = if unsigned { LOW } else { LOW >> 1 };
        if test.width == W64 && c <= low && zeros & !low == !low {
            return self.test(Test { width: W32, ..test });
        }
        let b = self.constant(c);
        Err(Test { b, ..test })
    }

    /// Whether a number that was sign-extended is negative: one of its bits.
    pub(super) fn sign_test(&mut self, test: Test, c: u64) -> Option<Test> {
        let cond = match test.cond {
            Cond::Slt if c == 0 => Cond::Set,
            Cond::Sge if c == 0 => Cond::Clear,
            Cond::Sle if c == mask(width_bits(test.width)) => Cond::Set,
            Cond::Sgt if c == mask(width_bits(test.width)) => Cond::Clear,
            _ => return None,
        };
        let Node::Sext(bits, width, a) = self.func.node(test.a) else {
            return None;
        };
        if width_bits(width) < width_bits(test.width) || bits > 32 {
            return None;
        }
        let b = self.constant(1 << (bits - 1));
        let width = W32;
        Some(Test { cond, width, a, b })
    }

    /// Whether a value is surely not zero: a known address, plus little.
    pub(super) fn is_not_zero(&self, value: Value) -> bool {
        match self.func.node(value) {
            Node::Const(c) => c != 0,
            Node::Frame(_) => true,
            Node::Bin(Bin::Add, W64, x, c) => match self.func.constant(c) {
                Some(c) => {
                    let most = !self.zeros[x.index()];
                    c != 0 && most.checked_add(c).is_some()
                }
                None => false,
            },
            _ => false,
        }
    }
}
