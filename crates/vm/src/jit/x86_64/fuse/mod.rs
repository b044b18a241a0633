//! Templates of several operations at once: what compilers must write as two-operand instructions,
//! and the machine has in one. No jump leads into the middle of such a row. Registers that only the
//! row itself reads are not written.

mod branch;
mod copies;
mod extend;
mod memory;
mod rotate;

use super::{
    alu::simm,
    compile::{Round, gpr},
    x86::{Alu, Cc, Gpr, Mem, Shift, W, at},
};
use crate::{
    jit::live::{effects, only},
    op::{Code, Op},
};

/// The width of a copy between registers.
fn copy(op: &Op) -> Option<W> {
    match op.code {
        Code::Mov64X => Some(W::Q),
        Code::Mov32X => Some(W::D),
        _ => None,
    }
}

/// A shift to the left or (logically) to the right by a constant that leaves something: width,
/// direction, count.
fn shift(op: &Op) -> Option<(W, Shift, u8)> {
    let (w, shift, bits) = match op.code {
        Code::Lsh64K => (W::Q, Shift::Shl, 64),
        Code::Rsh64K => (W::Q, Shift::Shr, 64),
        Code::Arsh64K => (W::Q, Shift::Sar, 64),
        Code::Lsh32K => (W::D, Shift::Shl, 32),
        Code::Rsh32K => (W::D, Shift::Shr, 32),
        Code::Arsh32K => (W::D, Shift::Sar, 32),
        _ => return None,
    };
    let count = op.imm as u8 & (bits - 1);
    (count != 0).then_some((w, shift, count))
}

/// Whether a branch goes by a register being zero.
fn compares_with_zero(branch: &Op) -> bool {
    let equal = (Code::JEq64K..=Code::JNe32X).contains(&branch.code);
    equal && branch.imm == 0
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
    pub fn fused(&mut self, index: usize, first: &Op) -> Option<usize> {
        match first.code {
            Code::Mov64X | Code::Mov32X if first.dst != first.src => self.copied(index, first),
            Code::Lsh64K | Code::Lsh32K => self.extension(index, None),
            code if code <= Code::Xor32X => {
                // The row is one with a branch on zero.
                let branch = self.next(index, 1)?;
                if branch.dst != first.dst || !compares_with_zero(&branch) {
                    return None;
                }
                let bits = (Code::And64K..=Code::And32X).contains(&code);
                let tested = bits.then(|| self.test_bits(index, None)).flatten();
                tested.or_else(|| self.counted(index, first))
            }
            Code::Ld8
            | Code::Ld16
            | Code::Ld32
            | Code::Ld64
            | Code::LdFrame8
            | Code::LdFrame16
            | Code::LdFrame32
            | Code::LdFrame64 => self.loaded(index, first),
            code if code.is_branch() => self.over_one(index, first),
            _ => None,
        }
    }

    /// Makes ready for a row of operations from `index` on, the last of which may be a branch.
    fn settle_row(&mut self, index: usize, count: usize) {
        for at in index..index + count {
            let reads = effects(&self.op(at)).reads;
            self.settle(reads);
        }
        for at in index..index + count {
            let writes = effects(&self.op(at)).writes;
            self.overwrite(writes);
        }
    }

    /// Whether a register is read behind a row that ends with this operation, which does not jump.
    fn is_read_behind(&self, register: u8, last: usize) -> bool {
        self.plan.live.behind(last) & only(register) != 0
    }
}
