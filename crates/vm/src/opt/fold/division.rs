//! Division by numbers: products, shifts, masks.

use super::*;

impl Rewriter<'_> {
    pub(super) fn divide(&mut self, bin: Bin, width: Width, a: Value, c: u64) -> Option<Value> {
        if c == 0 {
            return Some(match bin {
                Bin::UDiv => self.constant(0),
                _ => self.cut(width, a),
            });
        }
        if c.is_power_of_two() {
            return Some(if bin == Bin::UDiv {
                let count = self.constant(c.trailing_zeros().into());
                self.bin(Bin::Shr, width, a, count)
            } else {
                let mask = self.constant(c - 1);
                self.bin(Bin::And, W64, a, mask)
            });
        }
        let quotient = self.quotient(width, a, c)?;
        if bin == Bin::UDiv {
            return Some(quotient);
        }
        let c = self.constant(c);
        let whole = self.bin(Bin::Mul, width, quotient, c);
        Some(self.bin(Bin::Sub, width, a, whole))
    }

    /// Granlund and Montgomery: a product with the reciprocal, rounded up so that it is exact.
    pub(super) fn quotient(&mut self, width: Width, a: Value, c: u64) -> Option<Value> {
        let a = self.cut(width, a);
        let n = known::bits(self.zeros[a.index()]);
        if n < 64 - c.leading_zeros() {
            return Some(self.constant(0));
        }
        // ceil(2^(n + l) / c), with 2^l at least c, has n + 1 bits at most.
        let l = 64 - (c - 1).leading_zeros();
        if n <= 32 {
            let (mut m, mut shift) = (((1u128 << (n + l)) / u128::from(c)) as u64 + 1, n + l);
            // Even reciprocals are longer than they need be.
            while m.is_multiple_of(2) && shift > 0 {
                m /= 2;
                shift -= 1;
            }
            if n + (64 - m.leading_zeros()) > 64 {
                let m = self.constant(m << (64 - shift));
                return Some(self.bin(Bin::MulHigh, W64, a, m));
            }
            let m = self.constant(m);
            let product = self.bin(Bin::Mul, W64, a, m);
            let count = self.constant(shift.into());
            return Some(self.bin(Bin::Shr, W64, product, count));
        }
        // 64 bits: where the reciprocal has 64 bits, its product's upper half is shifted.
        if l > 63 {
            return None;
        }
        let m = (1u128 << (64 + l)) / u128::from(c) + 1;
        let mut shift = l;
        let mut reciprocal = m;
        // Fewer bits do where the error stays small enough (the dividend has n bits).
        while shift > 0 {
            let shorter = (1u128 << (64 + shift - 1)) / u128::from(c) + 1;
            let error = shorter * u128::from(c) - (1u128 << (64 + shift - 1));
            if error > 1u128 << (64 + shift - 1 - n) {
                break;
            }
            shift -= 1;
            reciprocal = shorter;
        }
        let count = |this: &mut Self, n: u32| this.constant(n.into());
        if let Ok(m) = u64::try_from(reciprocal) {
            let m = self.constant(m);
            let high = self.bin(Bin::MulHigh, W64, a, m);
            let shift = count(self, shift);
            return Some(self.bin(Bin::Shr, W64, high, shift));
        }
        // 65 bits: the top one is added by hand, without overflow.
        if shift == 0 {
            return None;
        }
        let m = self.constant(reciprocal as u64);
        let high = self.bin(Bin::MulHigh, W64, a, m);
        let rest = self.bin(Bin::Sub, W64, a, high);
        let one = count(self, 1);
        let half = self.bin(Bin::Shr, W64, rest, one);
        let sum = self.bin(Bin::Add, W64, half, high);
        let shift = count(self, shift - 1);
        Some(self.bin(Bin::Shr, W64, sum, shift))
    }

    pub(super) fn divide_signed(
        &mut self,
        bin: Bin,
        width: Width,
        a: Value,
        c: u64,
    ) -> Option<Value> {
        if c == 0 {
            return Some(match bin {
                Bin::SDiv => self.constant(0),
                _ => self.cut(width, a),
            });
        }
        let bits = width_bits(width);
        let positive = c >> (bits - 1) == 0;
        // Both positive: unsigned is simpler.
        if positive && self.zeros[a.index()] >> (bits - 1) & 1 == 1 {
            let bin = if bin == Bin::SDiv {
                Bin::UDiv
            } else {
                Bin::UMod
            };
            let c = self.constant(c);
            return Some(self.bin(bin, width, a, c));
        }
        if !positive || !c.is_power_of_two() {
            return None;
        }
        if c == 1 {
            return Some(match bin {
                Bin::SDiv => self.cut(width, a),
                _ => self.constant(0),
            });
        }
        // Towards zero: negative ones get `c - 1` added first.
        let k = c.trailing_zeros();
        let top = self.constant((bits - 1).into());
        let sign = self.bin(Bin::Sar, width, a, top);
        let rest = self.constant((bits - k).into());
        let bias = self.bin(Bin::Shr, width, sign, rest);
        let sum = self.bin(Bin::Add, width, a, bias);
        let count = self.constant(k.into());
        if bin == Bin::SDiv {
            return Some(self.bin(Bin::Sar, width, sum, count));
        }
        let mask = self.constant(!(c - 1) & mask(bits));
        let whole = self.bin(Bin::And, width, sum, mask);
        Some(self.bin(Bin::Sub, width, a, whole))
    }
}
