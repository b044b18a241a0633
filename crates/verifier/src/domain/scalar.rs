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
}
