//! What the flags say: a comparison that was made just before is not made again, nor is one of a
//! result with zero that the operation has made.

use super::*;

/// What made the flags that are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flags {
    /// Something else.
    Unknown,
    Compare(Compare),
    /// An operation of this width whose result is in a register; whether it clears carry and overflow.
    Result(W, Reg, bool),
}

/// The comparison that an instruction begins with, and the condition that it asks for.
fn asks(inst: &Inst) -> Option<(&Compare, Cc)> {
    match inst {
        Inst::Select(compare, cc, ..) | Inst::Set(compare, cc, _) | Inst::Branch(compare, cc) => {
            Some((compare, *cc))
        }
        _ => None,
    }
}

impl Flags {
    fn mentions(&self, reg: Reg) -> bool {
        let is = |src: Src| src == Src::Reg(reg);
        match self {
            Flags::Unknown => false,
            Flags::Compare(compare) => is(compare.a) || is(compare.b),
            Flags::Result(_, result, _) => *result == reg,
        }
    }

    /// Whether they answer a comparison by this condition.
    fn answer(&self, compare: &Compare, cc: Cc) -> bool {
        match *self {
            Flags::Unknown => false,
            Flags::Compare(made) => {
                let memory = |src: Src| matches!(src, Src::Mem(_));
                made == *compare && !memory(made.a) && !memory(made.b)
            }
            Flags::Result(w, result, clears) => {
                let of = Src::Reg(result);
                let same = compare.bytes == if w == W::Q { 8 } else { 4 };
                let zero = matches!(cc, Cc::E | Cc::Ne);
                // The upper half of a result of 32 bits is zero.
                let wider = compare.bytes == 8 && zero;
                compare.test
                    && compare.a == of
                    && compare.b == of
                    && (same || wider)
                    && (zero || clears)
            }
        }
    }

    /// The flags after a step.
    pub fn after(self, step: &Step) -> Flags {
        let inst = match step {
            Step::Copy { to, .. } => {
                return match *to {
                    Home::Reg(to) if self.mentions(to as Reg) => Flags::Unknown,
                    Home::Slot(to) if self.mentions(SPILLED + to) => Flags::Unknown,
                    _ => self,
                };
            }
            Step::Inst(inst) => inst,
        };
        let kept = match *inst {
            Inst::Select(compare, cc, ..) | Inst::Set(compare, cc, _) => {
                match self.answer(&compare, cc) {
                    true => self,
                    false => Flags::Compare(compare),
                }
            }
            Inst::Lea(..)
            | Inst::Load(..)
            | Inst::LoadSigned(..)
            | Inst::Store(..)
            | Inst::Zext(..)
            | Inst::Sext(..)
            | Inst::ShiftX(..)
            | Inst::OfRun(..) => self,
            Inst::Imm(_, value) if value != 0 => self,
            Inst::Alu(w, alu, dst, ..) => {
                let clears = matches!(alu, Alu::And | Alu::Or | Alu::Xor);
                return Flags::Result(w, dst, clears);
            }
            Inst::Shift(w, _, dst, _, count) if count != 0 => return Flags::Result(w, dst, false),
            _ => return Flags::Unknown,
        };
        let mut changes = false;
        let mut inst = *inst;
        inst.visit(&mut |reg, need| changes |= need.writes() && kept.mentions(*reg));
        match changes {
            true => Flags::Unknown,
            false => kept,
        }
    }

    /// Whether one of the steps to come needs no comparison for them.
    pub fn are_wanted(self, steps: &[Step]) -> bool {
        let mut flags = self;
        for step in steps {
            if let Step::Inst(inst) = step
                && let Some((compare, cc)) = asks(inst)
            {
                return flags.answer(compare, cc);
            }
            flags = match step {
                // Such a number is written otherwise then.
                Step::Inst(Inst::Imm(dst, 0)) if !flags.mentions(*dst) => flags,
                step => flags.after(step),
            };
            if flags != self {
                return false;
            }
        }
        false
    }
}

impl Emitter<'_> {
    /// Sets the flags, unless they are.
    pub(super) fn ask(&mut self, compare: &Compare, cc: Cc) {
        if !self.flags.answer(compare, cc) {
            self.compare(compare);
        }
    }

    /// Writes a step, and remembers what the flags say.
    pub(super) fn step(&mut self, frame: &mut Frame<'_>, index: usize, at: usize) {
        let steps = &frame.body.allocated.blocks[index];
        let step = &steps[at];
        match step {
            Step::Inst(Inst::Imm(dst, 0))
                if !self.flags.mentions(*dst) && self.flags.are_wanted(&steps[at + 1..]) =>
            {
                self.x.mov_zero(gpr(*dst));
                return;
            }
            Step::Copy { from, to } => self.copy(*from, *to),
            Step::Inst(inst) => self.inst(frame, index, inst),
        }
        self.flags = self.flags.after(step);
    }
}
