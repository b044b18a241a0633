//! Known bits: a set of 64-bit numbers that agree in the bits outside of a mask.
//!
//! "Tristate numbers" after the kernel's name. Every operation gives a superset of what the
//! concrete operation gives on all members; addition, subtraction and bitwise operations give the
//! smallest such set (Vishwanathan et al., CGO 2022).

/// A set of numbers: `value` where `mask` is 0, anything where `mask` is 1.
/// `value & mask == 0` always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tnum {
    /// The known bits.
    pub value: u64,
    /// The unknown bits.
    pub mask: u64,
}

impl Tnum {
    /// Every number.
    pub const UNKNOWN: Tnum = Tnum {
        value: 0,
        mask: u64::MAX,
    };

    /// One number.
    pub const fn constant(value: u64) -> Tnum {
        Tnum { value, mask: 0 }
    }

    /// The smallest such set that contains all of `min..=max` (unsigned).
    pub const fn range(min: u64, max: u64) -> Tnum {
        let differ = min ^ max;
        let bits = 64 - differ.leading_zeros();
        if bits > 63 {
            return Tnum::UNKNOWN;
        }
        let low = (1u64 << bits) - 1;
        Tnum {
            value: min & !low,
            mask: low,
        }
    }

    /// Whether it is one number.
    pub const fn is_const(self) -> bool {
        self.mask == 0
    }

    /// Smallest member, unsigned.
    pub const fn min(self) -> u64 {
        self.value
    }

    /// Greatest member, unsigned.
    pub const fn max(self) -> u64 {
        self.value | self.mask
    }

    /// Whether a number is a member.
    pub const fn contains(self, value: u64) -> bool {
        (value & !self.mask) == self.value
    }

    /// Shift left by a known amount (below 64).
    pub const fn lsh(self, shift: u32) -> Tnum {
        Tnum {
            value: self.value << shift,
            mask: self.mask << shift,
        }
    }

    /// Logical shift right by a known amount (below 64).
    pub const fn rsh(self, shift: u32) -> Tnum {
        Tnum {
            value: self.value >> shift,
            mask: self.mask >> shift,
        }
    }

    /// Arithmetic shift right of the low `bits` (32 or 64); a 32-bit result is zero-extended.
    pub const fn arsh(self, shift: u32, bits: u32) -> Tnum {
        if bits == 32 {
            Tnum {
                value: ((self.value as i32) >> shift) as u32 as u64,
                mask: ((self.mask as i32) >> shift) as u32 as u64,
            }
        } else {
            Tnum {
                value: ((self.value as i64) >> shift) as u64,
                mask: ((self.mask as i64) >> shift) as u64,
            }
        }
    }

    /// Sum.
    pub const fn add(self, other: Tnum) -> Tnum {
        let masks = self.mask.wrapping_add(other.mask);
        let low = self.value.wrapping_add(other.value);
        let high = masks.wrapping_add(low);
        let mask = (high ^ low) | self.mask | other.mask;
        Tnum {
            value: low & !mask,
            mask,
        }
    }

    /// Difference.
    pub const fn sub(self, other: Tnum) -> Tnum {
        let difference = self.value.wrapping_sub(other.value);
        let high = difference.wrapping_add(self.mask);
        let low = difference.wrapping_sub(other.mask);
        let mask = (high ^ low) | self.mask | other.mask;
        Tnum {
            value: difference & !mask,
            mask,
        }
    }

    /// Bitwise and.
    pub const fn and(self, other: Tnum) -> Tnum {
        let maybe = (self.value | self.mask) & (other.value | other.mask);
        let value = self.value & other.value;
        Tnum {
            value,
            mask: maybe & !value,
        }
    }

    /// Bitwise or.
    pub const fn or(self, other: Tnum) -> Tnum {
        let value = self.value | other.value;
        Tnum {
            value,
            mask: (self.mask | other.mask) & !value,
        }
    }

    /// Bitwise exclusive or.
    pub const fn xor(self, other: Tnum) -> Tnum {
        let mask = self.mask | other.mask;
        Tnum {
            value: (self.value ^ other.value) & !mask,
            mask,
        }
    }

    /// Product, by long multiplication over the bits of `self`.
    pub const fn mul(self, other: Tnum) -> Tnum {
        let (mut a, mut b) = (self, other);
        let mut sum = Tnum::constant(0);
        while a.value != 0 || a.mask != 0 {
            if a.value & 1 != 0 {
                sum = sum.add(b);
            } else if a.mask & 1 != 0 {
                // The bit is 0 or 1: the sum stays or grows by `b`.
                sum = sum.union(sum.add(b));
            }
            a = a.rsh(1);
            b = b.lsh(1);
        }
        sum
    }

    /// Smallest set that contains both.
    pub const fn union(self, other: Tnum) -> Tnum {
        let mask = self.mask | other.mask | (self.value ^ other.value);
        Tnum {
            value: self.value & !mask,
            mask,
        }
    }

    /// Members of both, on the premise that there are some.
    pub const fn intersect(self, other: Tnum) -> Tnum {
        let value = self.value | other.value;
        let mask = self.mask & other.mask;
        Tnum {
            value: value & !mask,
            mask,
        }
    }

    /// The least member above `n`; the greatest member where there is none.
    pub const fn next_above(self, n: u64) -> u64 {
        let greatest = self.max();
        if n >= greatest {
            return greatest;
        }
        let n = n + 1;
        let differ = (n ^ self.value) & !self.mask;
        if differ == 0 {
            return n;
        }
        // The highest known bit in which `n` is no member; below it everything may be chosen anew.
        let bit = 1u64 << (63 - differ.leading_zeros());
        let below = bit | (bit - 1);
        if self.value & bit != 0 {
            return (n & !below) | (self.value & below);
        }
        // `n` has a one where members have a zero: an unknown zero above it must become one.
        let free = self.mask & !n & !below;
        if free == 0 {
            return greatest;
        }
        let up = free & free.wrapping_neg();
        (n & !(up | (up - 1))) | up | (self.value & (up - 1))
    }

    /// Whether some number may be a member of both.
    pub const fn overlaps(self, other: Tnum) -> bool {
        let known = !self.mask & !other.mask;
        (self.value & known) == (other.value & known)
    }

    /// Whether every member of `other` is a member of `self`.
    pub const fn includes(self, other: Tnum) -> bool {
        if other.mask & !self.mask != 0 {
            return false;
        }
        self.value == (other.value & !self.mask)
    }

    /// The low `bytes` bytes, zero-extended.
    pub const fn cast(self, bytes: u32) -> Tnum {
        if bytes >= 8 {
            return self;
        }
        let keep = (1u64 << (bytes * 8)) - 1;
        Tnum {
            value: self.value & keep,
            mask: self.mask & keep,
        }
    }

    /// The low 32 bits.
    pub const fn subreg(self) -> Tnum {
        self.cast(4)
    }

    /// With the low 32 bits set to zero.
    pub const fn clear_subreg(self) -> Tnum {
        self.rsh(32).lsh(32)
    }

    /// With the low 32 bits taken from another.
    pub const fn with_subreg(self, low: Tnum) -> Tnum {
        self.clear_subreg().or(low.subreg())
    }

    /// Whether every member is a multiple of `size` (a power of two, or 0 for "any").
    pub const fn is_aligned(self, size: u64) -> bool {
        size == 0 || (self.value | self.mask) & (size - 1) == 0
    }

    /// Byte swap of the low `bytes` (2, 4, 8), zero-extended.
    pub const fn swap_bytes(self, bytes: u32) -> Tnum {
        match bytes {
            2 => Tnum {
                value: (self.value as u16).swap_bytes() as u64,
                mask: (self.mask as u16).swap_bytes() as u64,
            },
            4 => Tnum {
                value: (self.value as u32).swap_bytes() as u64,
                mask: (self.mask as u32).swap_bytes() as u64,
            },
            _ => Tnum {
                value: self.value.swap_bytes(),
                mask: self.mask.swap_bytes(),
            },
        }
    }
}
