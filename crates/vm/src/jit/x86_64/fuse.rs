//! Templates of several operations at once: what compilers must write as two-operand instructions,
//! and the machine has in one. No jump leads into the middle of such a row.

use super::{
    alu::simm,
    compile::{Round, gpr},
    x86::{Gpr, Mem, Shift, W, at},
};
use crate::op::{Code, Op};

/// The width of a copy between registers, if the operation is one that the lowering did not mean
/// for its own register.
fn copy(op: &Op) -> Option<W> {
    match op.code {
        Code::Mov64X => Some(W::Q),
        Code::Mov32X => Some(W::D),
        _ => None,
    }
}

/// A shift by a constant that leaves something: width, direction, count.
fn shift(op: &Op) -> Option<(W, Shift, u8)> {
    let (w, shift, bits) = match op.code {
        Code::Lsh64K => (W::Q, Shift::Shl, 64),
        Code::Rsh64K => (W::Q, Shift::Shr, 64),
        Code::Lsh32K => (W::D, Shift::Shl, 32),
        Code::Rsh32K => (W::D, Shift::Shr, 32),
        _ => return None,
    };
    let count = op.imm as u8 & (bits - 1);
    (count != 0).then_some((w, shift, count))
}

fn indexed(base: Gpr, index: Gpr, disp: i32) -> Mem {
    Mem {
        base,
        index: Some(index),
        scale: 0,
        disp,
    }
}

impl Round<'_> {
    /// The operation `n` after `index`, if only the one before it leads there.
    fn next(&self, index: usize, n: usize) -> Option<Op> {
        let next = index + n;
        (next < self.function.end && !self.is_target(next)).then(|| self.op(next))
    }

    /// Writes a row of operations that have a common form; how many, or `None`.
    pub fn fused(&mut self, index: usize) -> Option<usize> {
        let first = self.op(index);
        let w = copy(&first)?;
        let second = self.next(index, 1)?;
        if first.dst == first.src {
            return None;
        }
        if let Some(third) = self.next(index, 2)
            && let Some(fourth) = self.next(index, 3)
            && self.rotation(w, [&first, &second, &third, &fourth])
        {
            return Some(4);
        }
        if second.dst != first.dst {
            return None;
        }
        let (dst, src) = (gpr(first.dst), gpr(first.src));
        match (w, second.code) {
            (W::Q, Code::Add64X) if second.src != first.dst => {
                return Some(2 + self.sum_and_load(index, dst, src, gpr(second.src)));
            }
            (W::D, Code::Add32X) if second.src != first.dst => {
                self.x.lea(W::D, dst, indexed(src, gpr(second.src), 0));
            }
            (W::Q, Code::Add64K) | (W::D, Code::Add32K) => {
                self.x.lea(w, dst, at(src, simm(w, second.imm)?));
            }
            (W::Q, Code::Mul64K) | (W::D, Code::Mul32K) => {
                let imm = simm(w, second.imm).filter(|imm| imm.count_ones() != 1)?;
                self.x.imul_imm(w, dst, src, imm);
            }
            _ => return None,
        }
        Some(2)
    }

    /// `dst = base + index`, and a load from there which need not wait for the sum; whether there
    /// was one.
    fn sum_and_load(&mut self, at: usize, dst: Gpr, base: Gpr, index: Gpr) -> usize {
        let load = self.next(at, 2).filter(|op| gpr(op.src) == dst);
        let form = load.and_then(|op| match op.code {
            Code::Ld8 => Some((op, 1, false)),
            Code::Ld16 => Some((op, 2, false)),
            Code::Ld32 => Some((op, 4, false)),
            Code::Ld64 => Some((op, 8, false)),
            Code::LdS8 => Some((op, 1, true)),
            Code::LdS16 => Some((op, 2, true)),
            Code::LdS32 => Some((op, 4, true)),
            _ => None,
        });
        // The sum is lost when the load overwrites it.
        if form.is_none_or(|(op, ..)| gpr(op.dst) != dst) {
            self.x.lea(W::Q, dst, indexed(base, index, 0));
        }
        let Some((op, bytes, signed)) = form else {
            return 0;
        };
        let place = indexed(base, index, op.off);
        self.confine_place(at + 2, place, bytes, false);
        if signed {
            self.x.load_signed(bytes, gpr(op.dst), place);
        } else {
            self.x.load(bytes, gpr(op.dst), place);
        }
        1
    }

    /// A copy, two shifts that together make the width, and the union of both: one register has
    /// the rotated value in the end, the other its shifted one.
    fn rotation(&mut self, copied: W, [copy, one, other, union]: [&Op; 4]) -> bool {
        let (Some((w, shift_one, a)), Some((w2, shift_other, b))) = (shift(one), shift(other))
        else {
            return false;
        };
        let bits = if w == W::Q { 64 } else { 32 };
        let pair = (copy.dst, copy.src);
        let both = |x: u8, y: u8| (x, y) == pair || (y, x) == pair;
        let whole = copied == W::Q || w == W::D;
        let joins = union.code == Code::Or64X || (w == W::D && union.code == Code::Or32X);
        if w != w2
            || shift_one == shift_other
            || a + b != bits
            || !whole
            || !joins
            || !both(one.dst, other.dst)
            || !both(union.dst, union.src)
        {
            return false;
        }
        let left = if shift_one == Shift::Shl { a } else { b };
        self.x.mov(copied, gpr(copy.dst), gpr(copy.src));
        self.x.rol(w, gpr(union.dst), left);
        let (shift, count) = if one.dst == union.src {
            (shift_one, a)
        } else {
            (shift_other, b)
        };
        self.x.shift_imm(w, shift, gpr(union.src), count);
        true
    }
}
