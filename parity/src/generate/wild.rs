//! What a careful programmer would not write: the verdict is the question.

use super::*;

impl Generator<'_> {
    /// Any register that holds something, mostly.
    pub(super) fn written(&mut self) -> Reg {
        let all: Vec<u8> = (0..10)
            .filter(|n| self.kinds[usize::from(*n)] != Kind::Nothing)
            .chain([10])
            .collect();
        if self.rng.one_in(12) {
            reg(self.rng.below(11) as u8)
        } else {
            reg(self.rng.pick(&all))
        }
    }

    /// Something that a careful programmer would not write: the verdict is the question.
    pub(super) fn wildness(&mut self) -> Item {
        self.careful = false;
        let (dst, src) = (self.written(), self.written());
        let dst = if dst == Reg::R10 || self.counters.contains(&dst) {
            self.target()
        } else {
            dst
        };
        let size = self.rng.pick(&Size::ALL);
        match self.rng.below(8) {
            0 => {
                let op = self.rng.pick(&AluOp::ALL);
                let width = self.width();
                self.set(dst, Kind::Nothing);
                Item::Op(Instruction::Alu {
                    width,
                    op,
                    dst,
                    src: Operand::Reg(src),
                })
            }
            1 => {
                let offset = self.rng.below(160) as i16 - 80;
                self.set(dst, Kind::Number);
                Item::Op(Instruction::Load {
                    size,
                    signed: false,
                    dst,
                    base: src,
                    offset,
                })
            }
            2 => {
                let offset = self.rng.below(160) as i16 - 80;
                Item::Op(Instruction::Store {
                    size,
                    base: src,
                    offset,
                    src: Operand::Reg(dst),
                })
            }
            3 => {
                let cond = self.rng.pick(&Condition::ALL);
                let width = self.width();
                Item::Leave(Test {
                    width,
                    cond,
                    dst,
                    src: Operand::Reg(src),
                })
            }
            4 => {
                // A pointer moved by a number, then used.
                let by = self.operand();
                self.set(dst, Kind::Nothing);
                let spare = reg(self.rng.pick(WORK));
                self.set(spare, Kind::Number);
                Item::Group(vec![
                    mov(dst, Operand::Reg(src)),
                    alu(AluOp::Add, dst, by),
                    load(size, spare, dst, self.rng.below(32) as i16 - 16),
                ])
            }
            5 => {
                // A spill of whatever it is, and its return.
                let offset = self.stack_offset(Size::DW);
                let kind = self.kind(src);
                self.set(dst, kind);
                Item::Group(vec![
                    Item::Op(Instruction::Store {
                        size: Size::DW,
                        base: Reg::R10,
                        offset,
                        src: Operand::Reg(src),
                    }),
                    load(Size::DW, dst, Reg::R10, offset),
                ])
            }
            6 => {
                // A lookup without a null check.
                let map = self.rng.below(MAPS.len());
                self.clobber();
                self.set(Reg::R0, Kind::Value(map, 0));
                Item::Group(vec![
                    mov(Reg::R2, Operand::Reg(Reg::R10)),
                    alu(AluOp::Add, Reg::R2, Operand::Imm(-i32::from(SCRATCH))),
                    Item::Map { dst: Reg::R1, map },
                    helper(BPF_FUNC_map_lookup_elem),
                ])
            }
            _ => {
                let spare = self.written();
                Item::Op(Instruction::Atomic {
                    op: AtomicOp::Add { fetch: false },
                    size: self.rng.pick(&[Size::W, Size::DW]),
                    base: spare,
                    offset: -8 * self.rng.below(9) as i16,
                    src: dst,
                })
            }
        }
    }
}
