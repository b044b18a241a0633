//! Arithmetic on sets of numbers.
//!
//! Each operation works on both halves of the knowledge: the 64-bit intervals and the intervals of
//! the low 32 bits, whose arithmetic does not depend on the upper half (shifts right excepted).

use panal_isa::{AluOp, Width};

use super::Scalar;

impl Scalar {
    /// `self = self op other`. Division, remainder and shifts by something unknown give any number
    /// (all 64 bits of it, as on
    /// Linux 6.18).
    pub fn apply(&mut self, op: AluOp, width: Width, other: &Scalar) {
        match op {
            AluOp::Mov => *self = *other,
            AluOp::Add => self.add(other),
            AluOp::Sub => self.sub(other),
            AluOp::Mul => self.mul(other),
            AluOp::And => self.and(other),
            AluOp::Or => self.or(other),
            AluOp::Xor => self.xor(other),
            AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => match shift_amount(width, other) {
                Some(shift) => self.shift(op, width, shift),
                None => {
                    *self = Scalar::UNKNOWN;
                    return;
                }
            },
            AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => {
                *self = Scalar::UNKNOWN;
                return;
            }
        }
        match width {
            Width::W32 => self.zero_extend32(),
            Width::W64 => self.sync(),
        }
    }

    /// `self = -self`
    pub fn negate(&mut self, width: Width) {
        let old = *self;
        *self = Scalar::ZERO;
        self.apply(AluOp::Sub, width, &old);
    }

    fn add(&mut self, other: &Scalar) {
        (self.smin, self.smax) = match (
            self.smin.checked_add(other.smin),
            self.smax.checked_add(other.smax),
        ) {
            (Some(min), Some(max)) => (min, max),
            _ => (i64::MIN, i64::MAX),
        };
        (self.s32_min, self.s32_max) = match (
            self.s32_min.checked_add(other.s32_min),
            self.s32_max.checked_add(other.s32_max),
        ) {
            (Some(min), Some(max)) => (min, max),
            _ => (i32::MIN, i32::MAX),
        };
        // When both ends wrap, all sums do, and they are still one interval.
        let (min, min_wraps) = self.umin.overflowing_add(other.umin);
        let (max, max_wraps) = self.umax.overflowing_add(other.umax);
        (self.umin, self.umax) = if !min_wraps && max_wraps {
            (0, u64::MAX)
        } else {
            (min, max)
        };
        let (min, min_wraps) = self.u32_min.overflowing_add(other.u32_min);
        let (max, max_wraps) = self.u32_max.overflowing_add(other.u32_max);
        (self.u32_min, self.u32_max) = if !min_wraps && max_wraps {
            (0, u32::MAX)
        } else {
            (min, max)
        };
        self.bits = self.bits.add(other.bits);
    }

    fn sub(&mut self, other: &Scalar) {
        (self.smin, self.smax) = match (
            self.smin.checked_sub(other.smax),
            self.smax.checked_sub(other.smin),
        ) {
            (Some(min), Some(max)) => (min, max),
            _ => (i64::MIN, i64::MAX),
        };
        (self.s32_min, self.s32_max) = match (
            self.s32_min.checked_sub(other.s32_max),
            self.s32_max.checked_sub(other.s32_min),
        ) {
            (Some(min), Some(max)) => (min, max),
            _ => (i32::MIN, i32::MAX),
        };
        let (min, min_wraps) = self.umin.overflowing_sub(other.umax);
        let (max, max_wraps) = self.umax.overflowing_sub(other.umin);
        (self.umin, self.umax) = if min_wraps && !max_wraps {
            (0, u64::MAX)
        } else {
            (min, max)
        };
        let (min, min_wraps) = self.u32_min.overflowing_sub(other.u32_max);
        let (max, max_wraps) = self.u32_max.overflowing_sub(other.u32_min);
        (self.u32_min, self.u32_max) = if min_wraps && !max_wraps {
            (0, u32::MAX)
        } else {
            (min, max)
        };
        self.bits = self.bits.sub(other.bits);
    }

    fn mul(&mut self, other: &Scalar) {
        (self.umin, self.umax) = match (
            self.umin.checked_mul(other.umin),
            self.umax.checked_mul(other.umax),
        ) {
            (Some(min), Some(max)) => (min, max),
            _ => (0, u64::MAX),
        };
        (self.u32_min, self.u32_max) = match (
            self.u32_min.checked_mul(other.u32_min),
            self.u32_max.checked_mul(other.u32_max),
        ) {
            (Some(min), Some(max)) => (min, max),
            _ => (0, u32::MAX),
        };
        (self.smin, self.smax) = signed_products([self.smin, self.smax], [other.smin, other.smax]);
        (self.s32_min, self.s32_max) =
            signed_products32([self.s32_min, self.s32_max], [other.s32_min, other.s32_max]);
        self.bits = self.bits.mul(other.bits);
    }

    fn and(&mut self, other: &Scalar) {
        if let (Some(a), Some(b)) = (self.as_const(), other.as_const()) {
            *self = Scalar::constant(a & b);
            return;
        }
        self.bits = self.bits.and(other.bits);
        self.umin = self.bits.value;
        self.umax = self.umax.min(other.umax);
        self.u32_min = self.bits.value as u32;
        self.u32_max = self.u32_max.min(other.u32_max);
        self.signed_from_unsigned();
    }

    fn or(&mut self, other: &Scalar) {
        if let (Some(a), Some(b)) = (self.as_const(), other.as_const()) {
            *self = Scalar::constant(a | b);
            return;
        }
        self.bits = self.bits.or(other.bits);
        self.umin = self.umin.max(other.umin);
        self.umax = self.bits.max();
        self.u32_min = self.u32_min.max(other.u32_min);
        self.u32_max = self.bits.max() as u32;
        self.signed_from_unsigned();
    }

    fn xor(&mut self, other: &Scalar) {
        if let (Some(a), Some(b)) = (self.as_const(), other.as_const()) {
            *self = Scalar::constant(a ^ b);
            return;
        }
        self.bits = self.bits.xor(other.bits);
        self.umin = self.bits.min();
        self.umax = self.bits.max();
        self.u32_min = self.bits.min() as u32;
        self.u32_max = self.bits.max() as u32;
        self.signed_from_unsigned();
    }

    /// After a bitwise operation: the unsigned intervals are right, the signed ones follow where
    /// the sign bit does not change within them. Bits that are known complete the picture.
    fn signed_from_unsigned(&mut self) {
        (self.smin, self.smax) = if self.umin as i64 <= self.umax as i64 {
            (self.umin as i64, self.umax as i64)
        } else {
            (i64::MIN, i64::MAX)
        };
        (self.s32_min, self.s32_max) = if self.u32_min as i32 <= self.u32_max as i32 {
            (self.u32_min as i32, self.u32_max as i32)
        } else {
            (i32::MIN, i32::MAX)
        };
        let low = self.bits.subreg();
        if low.is_const() {
            let v = low.value as u32;
            (self.u32_min, self.u32_max) = (v, v);
            (self.s32_min, self.s32_max) = (v as i32, v as i32);
        }
        self.ranges_from_bits();
    }

    fn shift(&mut self, op: AluOp, width: Width, by: u32) {
        match (op, width) {
            (AluOp::Lsh, Width::W64) => {
                (self.smin, self.smax) = if by == 32 {
                    // "<< 32, s>> 32" sign-extends the low half: its order survives the shift.
                    (i64::from(self.s32_min) << 32, i64::from(self.s32_max) << 32)
                } else {
                    (i64::MIN, i64::MAX)
                };
                (self.umin, self.umax) = if self.umax > 1 << (63 - by) {
                    (0, u64::MAX)
                } else {
                    (self.umin << by, self.umax << by)
                };
                self.shift_left32(by);
                self.bits = self.bits.lsh(by);
                self.ranges_from_bits();
            }
            (AluOp::Lsh, Width::W32) => {
                self.shift_left32(by);
                self.bits = self.bits.subreg().lsh(by);
                self.forget_range64();
                self.range32_from_bits();
            }
            (AluOp::Rsh, Width::W64) => {
                (self.smin, self.smax) = (i64::MIN, i64::MAX);
                self.bits = self.bits.rsh(by);
                (self.umin, self.umax) = (self.umin >> by, self.umax >> by);
                self.forget_range32();
                self.ranges_from_bits();
            }
            (AluOp::Rsh, Width::W32) => {
                (self.s32_min, self.s32_max) = (i32::MIN, i32::MAX);
                self.bits = self.bits.subreg().rsh(by);
                (self.u32_min, self.u32_max) = (self.u32_min >> by, self.u32_max >> by);
                self.forget_range64();
                self.range32_from_bits();
            }
            (_, Width::W64) => {
                (self.smin, self.smax) = (self.smin >> by, self.smax >> by);
                self.bits = self.bits.arsh(by, 64);
                (self.umin, self.umax) = (0, u64::MAX);
                self.forget_range32();
                self.ranges_from_bits();
            }
            (_, Width::W32) => {
                (self.s32_min, self.s32_max) = (self.s32_min >> by, self.s32_max >> by);
                self.bits = self.bits.subreg().arsh(by, 32);
                (self.u32_min, self.u32_max) = (0, u32::MAX);
                self.forget_range64();
                self.range32_from_bits();
            }
        }
    }

    fn shift_left32(&mut self, by: u32) {
        (self.s32_min, self.s32_max) = (i32::MIN, i32::MAX);
        (self.u32_min, self.u32_max) = if by > 31 || self.u32_max > 1 << (31 - by) {
            (0, u32::MAX)
        } else {
            (self.u32_min << by, self.u32_max << by)
        };
    }
}

/// The amount of a shift, if it is known and below the width. A 32-bit shift uses the low half
/// only, but Linux asks all 64 bits to be below 32.
fn shift_amount(width: Width, by: &Scalar) -> Option<u32> {
    match width {
        Width::W64 if by.is_const() && by.umax < 64 => Some(by.umax as u32),
        Width::W32 if by.is_const32() && by.umax < 32 => Some(by.u32_max),
        _ => None,
    }
}

fn signed_products(a: [i64; 2], b: [i64; 2]) -> (i64, i64) {
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    for x in a {
        for y in b {
            let Some(product) = x.checked_mul(y) else {
                return (i64::MIN, i64::MAX);
            };
            (min, max) = (min.min(product), max.max(product));
        }
    }
    (min, max)
}

fn signed_products32(a: [i32; 2], b: [i32; 2]) -> (i32, i32) {
    let (mut min, mut max) = (i32::MAX, i32::MIN);
    for x in a {
        for y in b {
            let Some(product) = x.checked_mul(y) else {
                return (i32::MIN, i32::MAX);
            };
            (min, max) = (min.min(product), max.max(product));
        }
    }
    (min, max)
}
