//! Truncation and extension.

use super::{Scalar, Tnum};

impl Scalar {
    /// The 64-bit intervals of a number whose upper half is zero, from the low half.
    pub(super) fn range64_from_range32(&mut self) {
        self.umin = u64::from(self.u32_min);
        self.umax = u64::from(self.u32_max);
        if self.s32_min >= 0 {
            (self.smin, self.smax) = (i64::from(self.s32_min), i64::from(self.s32_max));
        } else {
            (self.smin, self.smax) = (0, i64::from(u32::MAX));
        }
    }

    /// Sets the upper half to zero, as every 32-bit operation does.
    pub fn zero_extend32(&mut self) {
        self.bits = self.bits.subreg();
        self.range64_from_range32();
        self.sync();
    }

    /// Keeps the low `bytes` bytes (1, 2, 4 or 8) and sets the rest to zero.
    pub fn truncate(&mut self, bytes: u32) {
        if bytes >= 8 {
            return;
        }
        // Most of what is loaded.
        if *self == Scalar::UNKNOWN {
            *self = Scalar::of_bytes(bytes);
            return;
        }
        self.truncate_known(bytes);
    }

    /// Any number of so many bytes (1, 2 or 4).
    fn of_bytes(bytes: u32) -> Scalar {
        let mask = (1u64 << (bytes * 8)) - 1;
        let (s32_min, s32_max) = match bytes {
            4 => (i32::MIN, i32::MAX),
            _ => (0, mask as i32),
        };
        Scalar {
            bits: Tnum { value: 0, mask },
            smin: 0,
            smax: mask as i64,
            umin: 0,
            umax: mask,
            s32_min,
            s32_max,
            u32_min: 0,
            u32_max: mask as u32,
        }
    }

    fn truncate_known(&mut self, bytes: u32) {
        self.bits = self.bits.cast(bytes);
        let mask = (1u64 << (bytes * 8)) - 1;
        if self.umin & !mask == self.umax & !mask {
            self.umin &= mask;
            self.umax &= mask;
        } else {
            (self.umin, self.umax) = (0, mask);
        }
        (self.smin, self.smax) = (self.umin as i64, self.umax as i64);
        if bytes < 4 {
            self.forget_range32();
        }
        self.sync();
    }

    /// Swaps the low `bytes` bytes (2, 4 or 8) and sets the rest to zero. Only bits survive this.
    pub fn swap_bytes(&mut self, bytes: u32) {
        *self = Scalar {
            bits: self.bits.swap_bytes(bytes),
            ..Scalar::UNKNOWN
        };
        self.sync();
    }

    /// Sign-extends the low `bytes` bytes (1, 2 or 4) to 64 bits.
    pub fn sign_extend(&mut self, bytes: u32) {
        let shift = 64 - bytes * 8;
        let extend = |v: i64| (v << shift) >> shift;
        if let Some(v) = self.as_const() {
            *self = Scalar::constant(extend(v as i64) as u64);
            return;
        }
        let width = bytes * 8;
        if self.smin >> width == self.smax >> width {
            let (a, b) = (extend(self.smin), extend(self.smax));
            let (min, max) = (a.min(b), a.max(b));
            if (min < 0) == (max < 0) {
                *self = Scalar {
                    bits: Tnum::range(min as u64, max as u64),
                    smin: min,
                    smax: max,
                    umin: min as u64,
                    umax: max as u64,
                    s32_min: min as i32,
                    s32_max: max as i32,
                    u32_min: min as u32,
                    u32_max: max as u32,
                };
                return;
            }
        }
        let max = (1i64 << (width - 1)) - 1;
        *self = Scalar {
            smin: -max - 1,
            smax: max,
            s32_min: (-max - 1) as i32,
            s32_max: max as i32,
            ..Scalar::UNKNOWN
        };
    }

    /// Sign-extends the low `bytes` bytes (1 or 2) to 32 bits and sets the upper half to zero.
    pub fn sign_extend32(&mut self, bytes: u32) {
        let shift = 32 - bytes * 8;
        let extend = |v: i32| (v << shift) >> shift;
        if let Some(v) = self.as_const() {
            *self = Scalar::constant(u64::from(extend(v as i32) as u32));
            return;
        }
        let width = bytes * 8;
        let half = (1i32 << (width - 1)) - 1;
        let (mut min, mut max) = (-half - 1, half);
        let mut bits = Tnum::UNKNOWN;
        let mut known = false;
        if self.s32_min >> width == self.s32_max >> width {
            let (a, b) = (extend(self.s32_min), extend(self.s32_max));
            if (a < 0) == (b < 0) {
                (min, max) = (a.min(b), a.max(b));
                bits = Tnum::range(i64::from(min) as u64, i64::from(max) as u64);
                known = true;
            }
        }
        self.bits = bits.subreg();
        (self.s32_min, self.s32_max) = (min, max);
        (self.u32_min, self.u32_max) = if known {
            (min as u32, max as u32)
        } else {
            (0, u32::MAX)
        };
        self.zero_extend32();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_is_cut_as_the_rules_cut_it() {
        for bytes in [1, 2, 4] {
            let mut by_rules = Scalar::UNKNOWN;
            by_rules.truncate_known(bytes);
            assert_eq!(Scalar::of_bytes(bytes), by_rules, "{bytes} bytes");
        }
    }
}
