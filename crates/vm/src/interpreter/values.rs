//! Arithmetic where RFC 9669 says more than the machine: division by zero, the quotient that does
//! not fit, shifts.

/// `a / b`, 0 for division by zero.
#[inline(always)]
pub(super) fn div64(a: u64, b: u64) -> u64 {
    a.checked_div(b).unwrap_or(0)
}

/// `a / b`, 0 for division by zero.
#[inline(always)]
pub(super) fn div32(a: u32, b: u32) -> u32 {
    a.checked_div(b).unwrap_or(0)
}

/// `a % b`, `a` for division by zero.
#[inline(always)]
pub(super) fn mod64(a: u64, b: u64) -> u64 {
    a.checked_rem(b).unwrap_or(a)
}

/// `a % b`, `a` for division by zero.
#[inline(always)]
pub(super) fn mod32(a: u32, b: u32) -> u32 {
    a.checked_rem(b).unwrap_or(a)
}

/// Signed `a / b`: 0 for division by zero, MIN for MIN / -1.
#[inline(always)]
pub(super) fn sdiv64(a: u64, b: u64) -> u64 {
    if b == 0 {
        0
    } else {
        (a as i64).wrapping_div(b as i64) as u64
    }
}

/// Signed `a / b`: 0 for division by zero, MIN for MIN / -1.
#[inline(always)]
pub(super) fn sdiv32(a: u32, b: u32) -> u32 {
    if b == 0 {
        0
    } else {
        (a as i32).wrapping_div(b as i32) as u32
    }
}

/// Signed `a % b`: `a` for division by zero, 0 for MIN % -1.
#[inline(always)]
pub(super) fn smod64(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        (a as i64).wrapping_rem(b as i64) as u64
    }
}

/// Signed `a % b`: `a` for division by zero, 0 for MIN % -1.
#[inline(always)]
pub(super) fn smod32(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        (a as i32).wrapping_rem(b as i32) as u32
    }
}

/// Arithmetic shift right by the low six bits.
#[inline(always)]
pub(super) fn arsh64(a: u64, b: u32) -> u64 {
    (a as i64).wrapping_shr(b) as u64
}

/// Arithmetic shift right by the low five bits.
#[inline(always)]
pub(super) fn arsh32(a: u32, b: u32) -> u32 {
    (a as i32).wrapping_shr(b) as u32
}
