//! Numbers in registers.

use super::*;

impl Generator<'_> {
    pub(super) fn arithmetic(&mut self) -> Option<Item> {
        let Some(dst) = self.number().filter(|r| !self.counters.contains(r)) else {
            let dst = self.target();
            self.set(dst, Kind::Number);
            return Some(mov(dst, Operand::Imm(self.imm())));
        };
        let op = self.rng.pick(&AluOp::ALL);
        let width = self.width();
        let mut src = self.operand();
        if let Operand::Imm(imm) = &mut src {
            let bits = if width == Width::W64 { 63 } else { 31 };
            match op {
                // Linux refuses shifts by the width and divisions by a constant zero.
                AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => *imm &= bits,
                AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod if *imm == 0 => *imm = 1,
                _ => {}
            }
        }
        Some(Item::Op(Instruction::Alu {
            width,
            op,
            dst,
            src,
        }))
    }

    pub(super) fn unary(&mut self) -> Option<Item> {
        let dst = self.number().filter(|r| !self.counters.contains(r))?;
        Some(Item::Op(match self.rng.below(3) {
            0 => Instruction::Neg {
                width: self.width(),
                dst,
            },
            1 => {
                let order = self
                    .rng
                    .pick(&[ByteOrder::Little, ByteOrder::Big, ByteOrder::Swap]);
                Instruction::Endian {
                    order,
                    size: self.rng.pick(&[Size::H, Size::W, Size::DW]),
                    dst,
                }
            }
            _ => {
                let width = self.width();
                let from = match width {
                    Width::W64 => self.rng.pick(&[Size::B, Size::H, Size::W]),
                    Width::W32 => self.rng.pick(&[Size::B, Size::H]),
                };
                Instruction::MovSx {
                    width,
                    from,
                    dst,
                    src: self.number()?,
                }
            }
        }))
    }

    /// Collects a number into the function's result.
    pub(super) fn fold(&mut self) -> Item {
        let Some(source) = self.number() else {
            return Item::Group(Vec::new());
        };
        let spare = if source == Reg::R0 { Reg::R1 } else { Reg::R0 };
        if self.counters.contains(&spare) {
            return Item::Group(Vec::new());
        }
        self.set(spare, Kind::Number);
        Item::Group(vec![
            load(Size::DW, spare, Reg::R10, RESULT),
            alu(AluOp::Mul, spare, Operand::Imm(31)),
            alu(AluOp::Xor, spare, Operand::Reg(source)),
            Item::Op(Instruction::Store {
                size: Size::DW,
                base: Reg::R10,
                offset: RESULT,
                src: Operand::Reg(spare),
            }),
        ])
    }
}
