//! Conditions: which way a jump goes, and what each way tells.

use panal_isa::{Condition, Width};

use super::Scalar;

/// The condition that holds when this one does not; `Set` has none.
fn opposite(cond: Condition) -> Option<Condition> {
    Some(match cond {
        Condition::Eq => Condition::Ne,
        Condition::Ne => Condition::Eq,
        Condition::Gt => Condition::Le,
        Condition::Ge => Condition::Lt,
        Condition::Lt => Condition::Ge,
        Condition::Le => Condition::Gt,
        Condition::SGt => Condition::SLe,
        Condition::SGe => Condition::SLt,
        Condition::SLt => Condition::SGe,
        Condition::SLe => Condition::SGt,
        Condition::Set => return None,
    })
}

/// One reading of a number: its interval in the width of the comparison.
struct Sides {
    u: (u64, u64),
    s: (i64, i64),
}

fn sides(n: &Scalar, width: Width) -> Sides {
    match width {
        Width::W64 => Sides {
            u: (n.umin, n.umax),
            s: (n.smin, n.smax),
        },
        Width::W32 => Sides {
            u: (u64::from(n.u32_min), u64::from(n.u32_max)),
            s: (i64::from(n.s32_min), i64::from(n.s32_max)),
        },
    }
}

/// Whether `a cond b` holds: always, never, or `None`.
pub fn branch_taken(a: &Scalar, b: &Scalar, cond: Condition, width: Width) -> Option<bool> {
    let (x, y) = (sides(a, width), sides(b, width));
    match cond {
        Condition::Eq => equal(a, b, &x, &y, width),
        Condition::Ne => equal(a, b, &x, &y, width).map(|e| !e),
        Condition::Set => any_common_bit(a, b, width),
        Condition::Gt => less(y.u, x.u),
        Condition::Lt => less(x.u, y.u),
        Condition::Ge => less(x.u, y.u).map(|l| !l),
        Condition::Le => less(y.u, x.u).map(|l| !l),
        Condition::SGt => less(y.s, x.s),
        Condition::SLt => less(x.s, y.s),
        Condition::SGe => less(x.s, y.s).map(|l| !l),
        Condition::SLe => less(y.s, x.s).map(|l| !l),
    }
}

fn less<T: PartialOrd>(a: (T, T), b: (T, T)) -> Option<bool> {
    if a.1 < b.0 {
        Some(true)
    } else if a.0 >= b.1 {
        Some(false)
    } else {
        None
    }
}

fn disjoint<T: PartialOrd>(a: (T, T), b: (T, T)) -> bool {
    a.0 > b.1 || a.1 < b.0
}

fn equal(a: &Scalar, b: &Scalar, x: &Sides, y: &Sides, width: Width) -> Option<bool> {
    let (s, t) = match width {
        Width::W64 => (a.bits, b.bits),
        Width::W32 => (a.bits.subreg(), b.bits.subreg()),
    };
    if s.is_const() && t.is_const() {
        return Some(s.value == t.value);
    }
    if !s.overlaps(t) || disjoint(x.u, y.u) || disjoint(x.s, y.s) {
        return Some(false);
    }
    if width == Width::W64
        && (disjoint((a.u32_min, a.u32_max), (b.u32_min, b.u32_max))
            || disjoint((a.s32_min, a.s32_max), (b.s32_min, b.s32_max)))
    {
        return Some(false);
    }
    None
}

/// Value of a number that is known in the width of the comparison.
fn known(n: &Scalar, width: Width) -> Option<u64> {
    match width {
        Width::W64 => n.as_const(),
        Width::W32 if n.is_const32() => Some(n.bits.subreg().value),
        Width::W32 => None,
    }
}

fn any_common_bit(a: &Scalar, b: &Scalar, width: Width) -> Option<bool> {
    let (n, mask) = match (known(b, width), known(a, width)) {
        (Some(mask), _) => (a, mask),
        (None, Some(mask)) => (b, mask),
        (None, None) => return None,
    };
    let bits = match width {
        Width::W64 => n.bits,
        Width::W32 => n.bits.subreg(),
    };
    if bits.value & mask != 0 {
        Some(true)
    } else if bits.max() & mask == 0 {
        Some(false)
    } else {
        None
    }
}

/// Narrows both sides of a comparison by its outcome. A contradiction (the outcome cannot be) makes
/// the intervals of a side unknown again, as on Linux: the path is dead, so nothing said of it is wrong.
pub fn refine(a: &mut Scalar, b: &mut Scalar, cond: Condition, width: Width, holds: bool) {
    if holds {
        narrow(a, b, cond, width);
    } else {
        match opposite(cond) {
            Some(opposite) => narrow(a, b, opposite, width),
            None => clear_bits(a, b, width),
        }
    }
    for n in [a, b] {
        n.sync();
        if n.is_contradictory() {
            n.forget_ranges();
        }
    }
}

/// The same for a number that is compared with itself. Linux 6.18 decides no such comparison
/// beforehand, and narrows the number by what would hold of two: on a way that cannot be taken, so
/// nothing said there is wrong.
pub fn refine_itself(n: &mut Scalar, cond: Condition, width: Width, holds: bool) {
    let (mut a, mut b) = (*n, *n);
    match (holds, opposite(cond)) {
        (true, _) => narrow(&mut a, &mut b, cond, width),
        (false, Some(opposite)) => narrow(&mut a, &mut b, opposite, width),
        (false, None) => clear_bits(&mut a, &mut b, width),
    }
    *n = Scalar {
        bits: a.bits.intersect(b.bits),
        smin: a.smin.max(b.smin),
        smax: a.smax.min(b.smax),
        umin: a.umin.max(b.umin),
        umax: a.umax.min(b.umax),
        s32_min: a.s32_min.max(b.s32_min),
        s32_max: a.s32_max.min(b.s32_max),
        u32_min: a.u32_min.max(b.u32_min),
        u32_max: a.u32_max.min(b.u32_max),
    };
    // Once for each side.
    n.sync();
    n.sync();
    if n.is_contradictory() {
        n.forget_ranges();
    }
}

fn narrow(a: &mut Scalar, b: &mut Scalar, cond: Condition, width: Width) {
    match cond {
        Condition::Eq => make_equal(a, b, width),
        Condition::Ne => make_unequal(a, b, width),
        Condition::Set => set_bit(a, b, width),
        Condition::Le => less_or_equal(a, b, width, 0),
        Condition::Lt => less_or_equal(a, b, width, 1),
        Condition::Ge => less_or_equal(b, a, width, 0),
        Condition::Gt => less_or_equal(b, a, width, 1),
        Condition::SLe => signed_less_or_equal(a, b, width, 0),
        Condition::SLt => signed_less_or_equal(a, b, width, 1),
        Condition::SGe => signed_less_or_equal(b, a, width, 0),
        Condition::SGt => signed_less_or_equal(b, a, width, 1),
    }
}

fn make_equal(a: &mut Scalar, b: &mut Scalar, width: Width) {
    match width {
        Width::W64 => {
            let bits = a.bits.intersect(b.bits);
            let (umin, umax) = (a.umin.max(b.umin), a.umax.min(b.umax));
            let (smin, smax) = (a.smin.max(b.smin), a.smax.min(b.smax));
            for n in [a, b] {
                (n.umin, n.umax, n.smin, n.smax, n.bits) = (umin, umax, smin, smax, bits);
            }
        }
        Width::W32 => {
            let low = a.bits.subreg().intersect(b.bits.subreg());
            let (umin, umax) = (a.u32_min.max(b.u32_min), a.u32_max.min(b.u32_max));
            let (smin, smax) = (a.s32_min.max(b.s32_min), a.s32_max.min(b.s32_max));
            for n in [a, b] {
                (n.u32_min, n.u32_max, n.s32_min, n.s32_max) = (umin, umax, smin, smax);
                n.bits = n.bits.with_subreg(low);
            }
        }
    }
}

/// A known number on one side, at the edge of the other side's interval, moves that edge. Edges
/// wrap only on a path that cannot be; the contradiction is seen afterwards.
fn make_unequal(a: &mut Scalar, b: &mut Scalar, width: Width) {
    let (n, v) = match (known(b, width), known(a, width)) {
        (Some(v), _) => (a, v),
        (None, Some(v)) => (b, v),
        (None, None) => return,
    };
    macro_rules! trim {
        ($min:ident, $max:ident, $v:expr) => {
            if n.$min == $v {
                n.$min = n.$min.wrapping_add(1);
            }
            if n.$max == $v {
                n.$max = n.$max.wrapping_sub(1);
            }
        };
    }
    match width {
        Width::W64 => {
            trim!(umin, umax, v);
            trim!(smin, smax, v as i64);
        }
        Width::W32 => {
            trim!(u32_min, u32_max, v as u32);
            trim!(s32_min, s32_max, v as i32);
        }
    }
}

/// Some bit of a known mask is set: tells something only if it has one bit.
fn set_bit(a: &mut Scalar, b: &mut Scalar, width: Width) {
    let (n, mask) = match (known(b, width), known(a, width)) {
        (Some(mask), _) => (a, mask),
        (None, Some(mask)) => (b, mask),
        (None, None) => return,
    };
    if !mask.is_power_of_two() {
        return;
    }
    let bit = super::Tnum::constant(mask);
    n.bits = match width {
        Width::W64 => n.bits.or(bit),
        Width::W32 => n.bits.with_subreg(n.bits.subreg().or(bit)),
    };
}

/// No bit of a known mask is set. Intervals are worked out anew from the bits.
fn clear_bits(a: &mut Scalar, b: &mut Scalar, width: Width) {
    let (n, mask) = match (known(b, width), known(a, width)) {
        (Some(mask), _) => (a, mask),
        (None, Some(mask)) => (b, mask),
        (None, None) => return,
    };
    n.forget_ranges();
    let rest = super::Tnum::constant(!mask);
    n.bits = match width {
        Width::W64 => n.bits.and(rest),
        Width::W32 => n.bits.with_subreg(n.bits.subreg().and(rest)),
    };
}

/// `a + gap <= b`, unsigned.
fn less_or_equal(a: &mut Scalar, b: &mut Scalar, width: Width, gap: u32) {
    match width {
        Width::W64 => {
            a.umax = a.umax.min(b.umax.wrapping_sub(gap.into()));
            b.umin = b.umin.max(a.umin.wrapping_add(gap.into()));
        }
        Width::W32 => {
            a.u32_max = a.u32_max.min(b.u32_max.wrapping_sub(gap));
            b.u32_min = b.u32_min.max(a.u32_min.wrapping_add(gap));
        }
    }
}

/// `a + gap <= b`, signed.
fn signed_less_or_equal(a: &mut Scalar, b: &mut Scalar, width: Width, gap: i32) {
    match width {
        Width::W64 => {
            a.smax = a.smax.min(b.smax.wrapping_sub(gap.into()));
            b.smin = b.smin.max(a.smin.wrapping_add(gap.into()));
        }
        Width::W32 => {
            a.s32_max = a.s32_max.min(b.s32_max.wrapping_sub(gap));
            b.s32_min = b.s32_min.max(a.s32_min.wrapping_add(gap));
        }
    }
}
