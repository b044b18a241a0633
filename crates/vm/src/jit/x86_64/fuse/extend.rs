//! Shifts to the left and back: the low bits of a register, extended.

use super::*;

impl Round<'_> {
    /// `dst <<= n; dst >>= n`, perhaps of a copy that was just made.
    pub(super) fn extension(&mut self, index: usize, copied: Option<&Op>) -> Option<usize> {
        let ahead = usize::from(copied.is_some());
        let left = self.next_or_first(index, ahead)?;
        let right = self
            .next(index, ahead + 1)
            .filter(|op| op.dst == left.dst)?;
        let (w, shift_left, a) = shift(&left)?;
        let (w2, shift_right, b) = shift(&right)?;
        let bits = if w == W::Q { 64 } else { 32 };
        if w != w2 || a != b || shift_left != Shift::Shl || shift_right == Shift::Shl {
            return None;
        }
        let kept = bits - a;
        if !matches!((kept, w), (8 | 16, _) | (32, W::Q)) {
            return None;
        }
        let row = ahead + 2;
        self.settle_row(index, row);
        let dst = gpr(left.dst);
        // The copy has the low bits in any width.
        let src = copied.map_or(dst, |copy| gpr(copy.src));
        match (shift_right, kept) {
            (Shift::Sar, _) => self.x.movsx(w, kept, dst, src),
            (_, 32) => self.x.mov(W::D, dst, src),
            _ => self.x.movzx(kept, dst, src),
        }
        Some(row)
    }

    fn next_or_first(&self, index: usize, n: usize) -> Option<Op> {
        if n == 0 {
            return Some(self.op(index));
        }
        self.next(index, n)
    }
}
