//! Branches with what is in front of them, or what they go over.

use super::{
    super::{
        alu::{BRANCHES, CONDITIONS, SET, alu_of},
        compile::{TEMP2, Target},
    },
    *,
};
use crate::jit::{carry::ends_slow_chain, live::effects};

/// Operations between two branches that are looked at for asking the same.
const ASKED_AGAIN: usize = 6;

/// An operation that sets the flags by its result: which, at what width, and whether by a number.
pub(super) fn on_flags(code: Code) -> Option<(Alu, W, bool)> {
    let alu = alu_of(code)?;
    // Forms come in the order 64K, 64X, 32K, 32X.
    let form = code as u8 % 4;
    let w = if form < 2 { W::Q } else { W::D };
    Some((alu, w, form.is_multiple_of(2)))
}

impl Round<'_> {
    /// `dst &= x; if dst == 0`, where nobody reads `dst` again: a test. Perhaps of a copy that was
    /// just made.
    pub(super) fn test_bits(&mut self, index: usize, copied: Option<&Op>) -> Option<usize> {
        let ahead = usize::from(copied.is_some());
        let and = self.op(index + ahead);
        let at = index + ahead + 1;
        let branch = self.next(index, ahead + 1)?;
        let not_equal = match branch.code {
            Code::JEq64K | Code::JEq32K => false,
            Code::JNe64K | Code::JNe32K => true,
            _ => return None,
        };
        if branch.dst != and.dst || branch.imm != 0 {
            return None;
        }
        let target = self.target(at, &branch);
        let read = self.plan.live.before(target) | self.plan.live.before(at + 1);
        if read & only(and.dst) != 0 {
            return None;
        }
        // What is compared: the whole register, or its lower half.
        let whole = matches!(branch.code, Code::JEq64K | Code::JNe64K);
        let and_w = match and.code {
            Code::And64K | Code::And64X => W::Q,
            _ => W::D,
        };
        let w = if whole { and_w } else { W::D };
        // A copy of 32 bits has no upper half.
        let w = match copied.map(copy) {
            Some(Some(W::D)) => W::D,
            _ => w,
        };
        let w = match and.imm {
            0..=0xffff_ffff if !matches!(and.code, Code::And64X) => W::D,
            _ => w,
        };
        let by_register = matches!(and.code, Code::And64X | Code::And32X);
        let small = simm(w, and.imm);
        if (!by_register && small.is_none()) || (by_register && copied.is_some()) {
            return None;
        }
        // The row over a single operation has a form of its own.
        self.settle_row(index, ahead + 2);
        self.settle(self.plan.live.before(target));
        let tested = copied.map_or(gpr(and.dst), |copy| gpr(copy.src));
        match small {
            Some(imm) if !by_register => self.x.test_imm(w, tested, imm),
            _ => self.x.test(w, tested, gpr(and.src)),
        }
        let cc = if not_equal { Cc::Ne } else { Cc::E };
        self.jump_if(cc, Target::Op(target));
        Some(ahead + 2)
    }

    /// `dst += x; if dst == 0`: the sum has set the flags already.
    pub(super) fn counted(&mut self, index: usize, first: &Op) -> Option<usize> {
        let branch = self.next(index, 1)?;
        let (cc, whole) = match branch.code {
            Code::JEq64K => (Cc::E, true),
            Code::JNe64K => (Cc::Ne, true),
            Code::JEq32K => (Cc::E, false),
            Code::JNe32K => (Cc::Ne, false),
            _ => return None,
        };
        let (alu, w, by_number) = on_flags(first.code)?;
        // The lower half of 64 bits may be zero by itself.
        if branch.dst != first.dst || branch.imm != 0 || (w == W::Q && !whole) {
            return None;
        }
        let target = self.target(index + 1, &branch);
        let small = simm(w, first.imm);
        if (by_number && small.is_none()) || self.target(index + 1, &branch) == index + 3 {
            return None;
        }
        self.settle_row(index, 1);
        self.settle(self.plan.live.before(target));
        let dst = gpr(first.dst);
        match small {
            Some(imm) if by_number => self.x.alu_imm(w, alu, dst, imm),
            _ => self.x.alu(w, alu, dst, gpr(first.src)),
        }
        self.jump_if(cc, Target::Op(target));
        Some(2)
    }

    /// A branch over one operation: over a jump it is the other way round, over a number a conditional
    /// move.
    pub(super) fn over_one(&mut self, index: usize, branch: &Op) -> Option<usize> {
        let target = self.target(index, branch);
        let inner = self.next(index, 1)?;
        if target != index + 2 {
            // Over an operation and a jump to where the branch leads, too.
            let then = self.next(index, 2)?;
            let joins = then.code == Code::Jump && self.target(index + 2, &then) == target;
            if !joins || inner.code == Code::Jump {
                return None;
            }
        }
        match inner.code {
            Code::Jump => {
                let target = self.target(index + 1, &inner);
                let branch = self.with_copied(branch);
                self.settle_for(&branch);
                self.settle(self.plan.live.before(target));
                let cc = self.compare(&branch)?;
                self.jump_if(cc.inverted(), Target::Op(target));
                Some(2)
            }
            // Of a register it would make what follows wait for both sides, where a branch that is
            // foreseen waits for none (a heap of 64 numbers took 1.3 times as long).
            Code::Mov64K | Code::Mov32K => {
                if ends_slow_chain(&self.executable.ops, self.plan, index, inner.dst) {
                    return None;
                }
                self.settle_all();
                let imm = match inner.code {
                    Code::Mov32K => u64::from(inner.imm as u32),
                    _ => inner.imm,
                };
                self.x.mov_imm(TEMP2, imm);
                let cc = self.compare(branch)?;
                self.x.cmov(W::Q, cc.inverted(), gpr(inner.dst), TEMP2);
                Some(2)
            }
            // But one of two branches that ask the same is enough: the second one is foreseen as well as
            // both, or mispredicted once.
            Code::Mov64X | Code::Mov32X if self.is_asked_again(index, branch) => {
                if ends_slow_chain(&self.executable.ops, self.plan, index, inner.dst) {
                    return None;
                }
                self.settle_all();
                let from = match inner.code {
                    Code::Mov32X => {
                        self.x.mov(W::D, TEMP2, gpr(inner.src));
                        TEMP2
                    }
                    _ => gpr(inner.src),
                };
                let cc = self.compare(branch)?;
                self.x.cmov(W::Q, cc.inverted(), gpr(inner.dst), from);
                Some(2)
            }
            _ => None,
        }
    }

    /// Whether a branch over one operation is followed by another one on the same comparison.
    fn is_asked_again(&self, index: usize, branch: &Op) -> bool {
        let asked = effects(branch).reads;
        let behind = index + 2..self.function.end.min(index + 2 + ASKED_AGAIN);
        for op in &self.executable.ops[behind] {
            if op.code.is_branch() {
                let operands = |op: &Op| (op.dst, op.src, op.imm);
                return ask_the_same(op.code, branch.code) && operands(op) == operands(branch);
            }
            if effects(op).writes & asked != 0 || op.code.jumps() || op.code.ends() {
                return false;
            }
        }
        false
    }
}

/// Whether the answer to one comparison is that to another one.
fn ask_the_same(a: Code, b: Code) -> bool {
    let [a, b] = [a, b].map(|code| usize::from(code as u8 - BRANCHES));
    let [first, second] = [a, b].map(|form| CONDITIONS.get(form / 4));
    let opposite = first.map(|cc| cc.inverted()) == second.copied();
    a == b || (a % 4 == b % 4 && opposite && a / 4 != SET && b / 4 != SET)
}
