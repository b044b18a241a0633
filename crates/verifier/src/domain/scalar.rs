//! A register's number: known bits and intervals in four readings of the same 64 bits.

use super::Tnum;

/// A set of 64-bit numbers, from five sides: a number is a member when each side admits it.
///
/// The 32-bit intervals speak of the low half of the bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are those of Linux's log
pub struct Scalar {
    pub bits: Tnum,
    pub smin: i64,
    pub smax: i64,
    pub umin: u64,
    pub umax: u64,
    pub s32_min: i32,
    pub s32_max: i32,
    pub u32_min: u32,
    pub u32_max: u32,
}

impl Scalar {
    /// Every number.
    pub const UNKNOWN: Scalar = Scalar {
        bits: Tnum::UNKNOWN,
        smin: i64::MIN,
        smax: i64::MAX,
        umin: 0,
        umax: u64::MAX,
        s32_min: i32::MIN,
        s32_max: i32::MAX,
        u32_min: 0,
        u32_max: u32::MAX,
    };

    /// Zero: also the variable part of a pointer that has none.
    pub const ZERO: Scalar = Scalar::constant(0);

    /// One number.
    pub const fn constant(value: u64) -> Scalar {
        Scalar {
            bits: Tnum::constant(value),
            smin: value as i64,
            smax: value as i64,
            umin: value,
            umax: value,
            s32_min: value as i32,
            s32_max: value as i32,
            u32_min: value as u32,
            u32_max: value as u32,
        }
    }

    /// All of `min..=max`, unsigned.
    #[cfg(test)]
    pub fn unsigned_range(min: u64, max: u64) -> Scalar {
        let mut s = Scalar {
            umin: min,
            umax: max,
            ..Scalar::UNKNOWN
        };
        s.sync();
        s
    }

    /// All of `min..=max`, signed.
    pub fn signed_range(min: i64, max: i64) -> Scalar {
        let mut s = Scalar {
            smin: min,
            smax: max,
            ..Scalar::UNKNOWN
        };
        s.sync();
        s
    }

    /// Whether it is one number.
    pub const fn is_const(&self) -> bool {
        self.bits.is_const()
    }

    /// The number, if it is one.
    pub const fn as_const(&self) -> Option<u64> {
        if self.bits.is_const() {
            Some(self.bits.value)
        } else {
            None
        }
    }

    /// Whether the low half is one number.
    pub const fn is_const32(&self) -> bool {
        self.bits.subreg().is_const()
    }

    /// Whether a number is a member.
    pub const fn contains(&self, v: u64) -> bool {
        self.bits.contains(v)
            && self.umin <= v
            && v <= self.umax
            && self.smin <= v as i64
            && v as i64 <= self.smax
            && self.u32_min <= v as u32
            && v as u32 <= self.u32_max
            && self.s32_min <= v as i32
            && v as i32 <= self.s32_max
    }

    /// Whether every side of `inner` lies within the same side of `self`.
    pub fn includes(&self, inner: &Scalar) -> bool {
        self.range_includes(inner) && self.bits.includes(inner.bits)
    }

    /// Whether every interval of `inner` lies within the same interval of `self`.
    pub fn range_includes(&self, inner: &Scalar) -> bool {
        self.umin <= inner.umin
            && self.umax >= inner.umax
            && self.smin <= inner.smin
            && self.smax >= inner.smax
            && self.u32_min <= inner.u32_min
            && self.u32_max >= inner.u32_max
            && self.s32_min <= inner.s32_min
            && self.s32_max >= inner.s32_max
    }

    /// Whether some side is empty or sides contradict each other in a way that is seen at once:
    /// the path that leads here cannot be taken.
    pub fn is_contradictory(&self) -> bool {
        if self.umin > self.umax
            || self.smin > self.smax
            || self.u32_min > self.u32_max
            || self.s32_min > self.s32_max
        {
            return true;
        }
        if let Some(v) = self.as_const() {
            let s = v as i64;
            if self.umin != v || self.umax != v || self.smin != s || self.smax != s {
                return true;
            }
        }
        let low = self.bits.subreg();
        if low.is_const() {
            let v = low.value as u32;
            let s = v as i32;
            return self.u32_min != v
                || self.u32_max != v
                || self.s32_min != s
                || self.s32_max != s;
        }
        false
    }

    /// Forgets the 64-bit intervals.
    pub(super) fn forget_range64(&mut self) {
        (self.smin, self.smax) = (i64::MIN, i64::MAX);
        (self.umin, self.umax) = (0, u64::MAX);
    }

    /// Forgets the 32-bit intervals.
    pub(super) fn forget_range32(&mut self) {
        (self.s32_min, self.s32_max) = (i32::MIN, i32::MAX);
        (self.u32_min, self.u32_max) = (0, u32::MAX);
    }

    /// Forgets all intervals; the bits stay.
    pub(super) fn forget_ranges(&mut self) {
        self.forget_range64();
        self.forget_range32();
    }

    /// Lets every side learn from the others.
    pub fn sync(&mut self) {
        if self.bits.is_const() && self.umin == self.umax && self.is_synced_const() {
            return;
        }
        if *self == Scalar::UNKNOWN {
            return;
        }
        self.ranges_from_bits();
        // What one round learns in 32 bits, the next can use in 64, and the other way round.
        let from_bits = *self;
        for _ in 0..3 {
            let before = *self;
            self.deduce32();
            self.deduce64();
            self.deduce_mixed();
            if *self == before {
                break;
            }
        }
        self.bits_from_ranges();
        // Where nothing new was learnt, that was done above.
        if *self != from_bits {
            self.ranges_from_bits();
        }
    }

    /// Whether this is exactly what [`Scalar::constant`] makes: nothing to learn.
    fn is_synced_const(&self) -> bool {
        *self == Scalar::constant(self.bits.value)
    }

    pub(super) fn ranges_from_bits(&mut self) {
        self.range32_from_bits();
        self.range64_from_bits();
    }

    pub(super) fn range64_from_bits(&mut self) {
        let Tnum { value, mask } = self.bits;
        const SIGN: u64 = 1 << 63;
        self.smin = self.smin.max((value | (mask & SIGN)) as i64);
        self.smax = self.smax.min((value | (mask & !SIGN)) as i64);
        self.umin = self.umin.max(value);
        self.umax = self.umax.min(value | mask);
        if mask != 0 || self.umin != value || self.umax != value {
            self.single_value();
        }
    }

    /// Known bits and the unsigned interval may have only one number in common.
    fn single_value(&mut self) {
        let next = self.bits.next_above(self.umin);
        if self.bits.contains(self.umin) {
            if next > self.umax {
                *self = Scalar::constant(self.umin);
            }
        } else if next == self.bits.max()
            || (next <= self.umax && self.bits.next_above(next) > self.umax)
        {
            *self = Scalar::constant(next);
        }
    }

    pub(super) fn range32_from_bits(&mut self) {
        let (value, mask) = (self.bits.value as u32, self.bits.mask as u32);
        const SIGN: u32 = 1 << 31;
        self.s32_min = self.s32_min.max((value | (mask & SIGN)) as i32);
        self.s32_max = self.s32_max.min((value | (mask & !SIGN)) as i32);
        self.u32_min = self.u32_min.max(value);
        self.u32_max = self.u32_max.min(value | mask);
    }

    fn meet_u32(&mut self, min: u32, max: u32) {
        self.u32_min = self.u32_min.max(min);
        self.u32_max = self.u32_max.min(max);
    }

    fn meet_s32(&mut self, min: i32, max: i32) {
        self.s32_min = self.s32_min.max(min);
        self.s32_max = self.s32_max.min(max);
    }

    fn meet_u64(&mut self, min: u64, max: u64) {
        self.umin = self.umin.max(min);
        self.umax = self.umax.min(max);
    }

    fn meet_s64(&mut self, min: i64, max: i64) {
        self.smin = self.smin.max(min);
        self.smax = self.smax.min(max);
    }

    /// The low half, from the 64-bit intervals and from its own two readings.
    fn deduce32(&mut self) {
        let (lo, hi) = (self.umin, self.umax);
        if lo >> 32 == hi >> 32 {
            // The upper half is one number: the low half runs from one end to the other.
            self.meet_u32(lo as u32, hi as u32);
            if lo as i32 <= hi as i32 {
                self.meet_s32(lo as i32, hi as i32);
            }
        }
        let (lo, hi) = (self.smin as u64, self.smax as u64);
        if lo >> 32 == hi >> 32 {
            if lo as u32 <= hi as u32 {
                self.meet_u32(lo as u32, hi as u32);
            }
            if lo as i32 <= hi as i32 {
                self.meet_s32(lo as i32, hi as i32);
            }
        }
        // The upper half steps once, and the low half runs from negative through the step to
        // positive: in the signed reading that is one interval.
        for (lo, hi) in [(self.umin, self.umax), (self.smin as u64, self.smax as u64)] {
            let steps_once = ((lo >> 32) as u32).wrapping_add(1) == (hi >> 32) as u32;
            if steps_once && (lo as i32) < 0 && (hi as i32) >= 0 {
                self.meet_s32(lo as i32, hi as i32);
            }
        }
        if self.u32_min as i32 <= self.u32_max as i32 {
            self.meet_s32(self.u32_min as i32, self.u32_max as i32);
        }
        if self.s32_min as u32 <= self.s32_max as u32 {
            self.meet_u32(self.s32_min as u32, self.s32_max as u32);
        } else if self.u32_max < self.s32_min as u32 {
            // As in `deduce64`: the unsigned interval meets only one piece of the signed one.
            self.s32_min = self.u32_min as i32;
            self.u32_max = self.u32_max.min(self.s32_max as u32);
        } else if (self.s32_max as u32) < self.u32_min {
            self.s32_max = self.u32_max as i32;
            self.u32_min = self.u32_min.max(self.s32_min as u32);
        }
    }

    /// The two 64-bit readings, from each other.
    fn deduce64(&mut self) {
        if self.umin as i64 <= self.umax as i64 {
            self.meet_s64(self.umin as i64, self.umax as i64);
        }
        if self.smin as u64 <= self.smax as u64 {
            self.meet_u64(self.smin as u64, self.smax as u64);
        } else if self.umax < self.smin as u64 {
            // The signed interval lies at both ends of the unsigned line; only its lower piece
            // (0 to smax) meets the unsigned interval.
            self.smin = self.umin as i64;
            self.umax = self.umax.min(self.smax as u64);
        } else if (self.smax as u64) < self.umin {
            // Only its upper piece does.
            self.smax = self.umax as i64;
            self.umin = self.umin.max(self.smin as u64);
        }
    }

    /// The 64-bit intervals, from the low half.
    fn deduce_mixed(&mut self) {
        const HIGH: u64 = !0xffff_ffff;
        let (lo, hi) = (u64::from(self.u32_min), u64::from(self.u32_max));
        self.meet_u64((self.umin & HIGH) | lo, (self.umax & HIGH) | hi);
        self.meet_s64(
            ((self.smin as u64 & HIGH) | lo) as i64,
            ((self.smax as u64 & HIGH) | hi) as i64,
        );
        // A sign-extended 32-bit number whose low half is not negative.
        let extended = self.smin >= i64::from(i32::MIN) && self.smax <= i64::from(i32::MAX);
        if self.s32_min >= 0 && extended {
            self.smin = i64::from(self.s32_min);
            self.smax = i64::from(self.s32_max);
            self.umin = self.smin as u64;
            self.umax = self.smax as u64;
            self.bits = self.bits.intersect(Tnum::range(self.umin, self.umax));
        }
    }

    fn bits_from_ranges(&mut self) {
        let all = self.bits.intersect(Tnum::range(self.umin, self.umax));
        let low = all.subreg().intersect(Tnum::range(
            u64::from(self.u32_min),
            u64::from(self.u32_max),
        ));
        self.bits = all.clear_subreg().or(low);
    }
}
