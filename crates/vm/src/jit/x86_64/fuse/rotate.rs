//! Rotations, which compilers must write as two shifts and a union.

use super::*;

/// Two shifts that together make the width, one to each side: the width, and by how much the whole
/// is rotated to the left.
fn pair(one: &Op, other: &Op) -> Option<(W, u8)> {
    let (w, shift_one, a) = shift(one)?;
    let (w2, shift_other, b) = shift(other)?;
    let bits = if w == W::Q { 64 } else { 32 };
    let left = match (shift_one, shift_other) {
        (Shift::Shl, Shift::Shr) => a,
        (Shift::Shr, Shift::Shl) => b,
        _ => return None,
    };
    (w == w2 && a + b == bits).then_some((w, left))
}

/// Whether an operation joins what was shifted to both sides: no bit is in both.
fn joins(op: &Op, w: W) -> bool {
    match op.code {
        Code::Or64X | Code::Xor64X | Code::Add64X => true,
        Code::Or32X | Code::Xor32X | Code::Add32X => w == W::D,
        _ => false,
    }
}

/// Whether a copy of this width has all that is rotated.
fn copies_all(copied: W, w: W) -> bool {
    copied == W::Q || w == W::D
}

impl Round<'_> {
    /// `dst = rotate_left(src, left)`
    fn rotate(&mut self, w: W, dst: u8, src: u8, left: u8) {
        let (dst, src) = (gpr(dst), gpr(src));
        let bits = if w == W::Q { 64 } else { 32 };
        if dst == src {
            self.x.rol(w, dst, left);
        } else if self.options.bmi2 {
            self.x.rorx(w, dst, src, bits - left);
        } else {
            self.x.mov(w, dst, src);
            self.x.rol(w, dst, left);
        }
    }

    /// A copy, two shifts that together make the width, and the union of both: one register has
    /// the rotated value in the end, the other its shifted one.
    pub(super) fn rotation(&mut self, index: usize, copied: W) -> Option<usize> {
        let copy = self.op(index);
        let (one, other) = (self.next(index, 1)?, self.next(index, 2)?);
        let (w, left) = pair(&one, &other)?;
        let union = self.next(index, 3).filter(|op| joins(op, w))?;
        let both = |x: u8, y: u8| (x, y) == (copy.dst, copy.src) || (y, x) == (copy.dst, copy.src);
        if !copies_all(copied, w) || !both(one.dst, other.dst) || !both(union.dst, union.src) {
            return None;
        }
        self.settle_row(index, 4);
        let (rotated, shifted) = (union.dst, union.src);
        let (_, direction, count) = shift(if one.dst == shifted { &one } else { &other })?;
        if !self.is_read_behind(shifted, index + 3) {
            self.rotate(w, rotated, copy.src, left);
            return Some(4);
        }
        self.x.mov(copied, gpr(copy.dst), gpr(copy.src));
        self.x.rol(w, gpr(rotated), left);
        self.x.shift_imm(w, direction, gpr(shifted), count);
        Some(4)
    }

    /// Two copies of one register, each shifted, and their union; the other copy is read no more.
    pub(super) fn rotation_of_copies(&mut self, index: usize, copied: W) -> Option<usize> {
        let first = self.op(index);
        let one = self.next(index, 1).filter(|op| op.dst == first.dst)?;
        shift(&one)?;
        let second = self.next(index, 2)?;
        let copied_too = copy(&second)?;
        let other = self.next(index, 3).filter(|op| op.dst == second.dst)?;
        let (w, left) = pair(&one, &other)?;
        let union = self.next(index, 4).filter(|op| joins(op, w))?;
        let (x, y) = (first.dst, second.dst);
        let both = (union.dst, union.src) == (x, y) || (union.dst, union.src) == (y, x);
        if second.src != first.src
            || x == y
            || !copies_all(copied, w)
            || !copies_all(copied_too, w)
            || !both
            || self.is_read_behind(union.src, index + 4)
        {
            return None;
        }
        self.settle_row(index, 5);
        self.rotate(w, union.dst, first.src, left);
        Some(5)
    }
}
