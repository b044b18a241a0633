//! Unsigned division by a number that is known: a multiplication by its reciprocal
//! (Granlund and Montgomery 1994; Robison 2005).

use super::{
    compile::{Round, TEMP2},
    convention::TEMP,
    x86::{Alu, Gpr, Shift, W},
};

/// `x / divisor` is `(x + plus) * factor >> (32 + shift)` for every `x` of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reciprocal {
    factor: u32,
    shift: u8,
    plus: bool,
}

/// The reciprocal of a number that is no power of two.
fn reciprocal(divisor: u32) -> Reciprocal {
    let shift = divisor.ilog2() as u8;
    let whole = 1u64 << (32 + shift);
    let (down, rest) = (whole / u64::from(divisor), whole % u64::from(divisor));
    // Rounded up it is exact where the error stays below what the shift drops; else rounded down.
    let plus = u64::from(divisor) - rest > 1 << shift;
    let factor = if plus { down } else { down + 1 };
    Reciprocal {
        factor: factor as u32,
        shift,
        plus,
    }
}

/// `x / divisor` is the upper half of `x * factor`, shifted to the right, for every `x` of 64 bits;
/// `None` where the factor has more than 64 bits.
fn long_reciprocal(divisor: u64) -> Option<(u64, u8)> {
    let shift = divisor.ilog2() as u8;
    let whole = 1u128 << (64 + shift);
    let (down, rest) = (whole / u128::from(divisor), whole % u128::from(divisor));
    let exact = u128::from(divisor) - rest <= 1 << shift;
    exact.then_some(((down + 1) as u64, shift))
}

impl Round<'_> {
    /// `dst = dst / divisor` or the remainder, by a product; false where there is none.
    pub fn divide_by_product(&mut self, w: W, dst: Gpr, divisor: u64, quotient: bool) -> bool {
        match w {
            W::D => match u32::try_from(divisor) {
                Ok(divisor) if !divisor.is_power_of_two() && divisor != 0 => {
                    self.short_quotient(dst, divisor);
                }
                _ => return false,
            },
            W::Q => match long_reciprocal(divisor) {
                Some((factor, shift)) if self.options.bmi2 => {
                    self.long_quotient(dst, factor, shift);
                }
                _ => return false,
            },
        }
        if quotient {
            self.x.mov(w, dst, TEMP2);
        } else if let Ok(divisor) = i32::try_from(divisor as i64) {
            self.x.imul_imm(w, TEMP2, TEMP2, divisor);
            self.x.alu(w, Alu::Sub, dst, TEMP2);
        } else {
            self.x.mov_imm(TEMP, divisor);
            self.x.imul(w, TEMP2, TEMP);
            self.x.alu(w, Alu::Sub, dst, TEMP2);
        }
        true
    }

    /// The quotient in the second temporary.
    fn short_quotient(&mut self, dst: Gpr, divisor: u32) {
        let Reciprocal {
            factor,
            shift,
            plus,
        } = reciprocal(divisor);
        self.x.mov(W::D, TEMP2, dst);
        if plus {
            self.x.alu_imm(W::Q, Alu::Add, TEMP2, 1);
        }
        self.x.mov_imm(TEMP, factor.into());
        self.x.imul(W::Q, TEMP2, TEMP);
        self.x.shift_imm(W::Q, Shift::Shr, TEMP2, 32 + shift);
    }

    /// The quotient in the second temporary. The product's one factor must be in `rdx`.
    fn long_quotient(&mut self, dst: Gpr, factor: u64, shift: u8) {
        if dst == Gpr::Rdx {
            self.x.mov_imm(TEMP, factor);
            self.x.mulx(W::Q, TEMP2, TEMP, TEMP);
        } else {
            self.x.mov(W::Q, TEMP, Gpr::Rdx);
            self.x.mov_imm(Gpr::Rdx, factor);
            self.x.mulx(W::Q, TEMP2, TEMP2, dst);
            self.x.mov(W::Q, Gpr::Rdx, TEMP);
        }
        if shift > 0 {
            self.x.shift_imm(W::Q, Shift::Shr, TEMP2, shift);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    fn numbers() -> Vec<u32> {
        let mut numbers = vec![
            3, 5, 6, 7, 9, 10, 11, 25, 100, 641, 1000, 10_000, 65_537, 1_000_003,
        ];
        for bit in 2..32 {
            for near in -2i64..=2 {
                numbers.push(((1i64 << bit) + near) as u32);
            }
        }
        let mut x = 12_345u32;
        for _ in 0..2000 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            numbers.push(x >> (x & 31));
        }
        numbers
    }

    /// Dividends around every multiple that matters, and the largest.
    fn dividends(divisor: u64, most: u64) -> impl Iterator<Item = u64> {
        let last = most / divisor * divisor;
        let around = move |x: u64| [x.wrapping_sub(1), x, x.wrapping_add(1)].map(|x| x & most);
        [
            0,
            divisor,
            2 * divisor,
            last,
            last.wrapping_sub(divisor),
            most,
            most / 2,
        ]
        .into_iter()
        .flat_map(around)
    }

    #[test]
    fn reciprocals_of_32_bits_divide() {
        for divisor in numbers() {
            if divisor < 3 || divisor.is_power_of_two() {
                continue;
            }
            let r = reciprocal(divisor);
            for x in dividends(divisor.into(), u32::MAX.into()) {
                let quotient = (x + u64::from(r.plus))
                    .checked_mul(r.factor.into())
                    .expect("64 bits")
                    >> (32 + r.shift);
                assert_eq!(quotient, x / u64::from(divisor), "{x} / {divisor}");
            }
        }
    }

    #[test]
    fn reciprocals_of_64_bits_divide() {
        let long = numbers().into_iter().map(u64::from);
        let longer = numbers().into_iter().map(|n| u64::from(n) << 31 | 5);
        let mut some = 0;
        for divisor in long.chain(longer) {
            if divisor < 3 || divisor.is_power_of_two() {
                continue;
            }
            let Some((factor, shift)) = long_reciprocal(divisor) else {
                continue;
            };
            some += 1;
            for x in dividends(divisor, u64::MAX) {
                let high = ((u128::from(x) * u128::from(factor)) >> 64) as u64;
                assert_eq!(high >> shift, x / divisor, "{x} / {divisor}");
            }
        }
        assert!(some > 500, "{some}");
    }
}
