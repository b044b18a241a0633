//! Shapes that a verifier must know: partial spills, spilled pointers, packet data at a number,
//! registers at a known distance, known branches, legacy packet loads.

use panal_isa::PacketMode;

use super::*;

impl Generator<'_> {
    pub(super) fn shape(&mut self) -> Option<Item> {
        match self.rng.below(7) {
            0 | 1 => self.partial_spill(),
            2 => self.pointer_spill(),
            3 => self.packet_at_number(),
            4 => self.distance(),
            5 => self.known_branch(),
            _ => self.packet_load(),
        }
    }

    /// Some bytes of a number to a slot, others read back.
    fn partial_spill(&mut self) -> Option<Item> {
        let slot = self.stack_offset(Size::DW);
        let src = self.operand();
        let dst = self.target();
        let (stored, read) = (self.rng.pick(&Size::ALL), self.rng.pick(&Size::ALL));
        let places = 8 / read.bytes() as usize;
        let at = if self.rng.one_in(2) {
            0
        } else {
            self.rng.below(places) as i16 * read.bytes() as i16
        };
        self.set(dst, Kind::Number);
        let mut parts = vec![Item::Op(Instruction::Store {
            size: stored,
            base: Reg::R10,
            offset: slot,
            src,
        })];
        if self.rng.one_in(3) {
            // Something else to a part of it.
            let size = self.rng.pick(&Size::ALL);
            let within = self.rng.below(8 / size.bytes() as usize) as i16 * size.bytes() as i16;
            let src = self.operand();
            parts.push(Item::Op(Instruction::Store {
                size,
                base: Reg::R10,
                offset: slot + within,
                src,
            }));
        }
        parts.push(Item::Op(Instruction::Load {
            size: read,
            signed: read != Size::DW && self.rng.one_in(4),
            dst,
            base: Reg::R10,
            offset: slot + at,
        }));
        Some(Item::Group(parts))
    }

    /// A pointer to a slot and back to another register; the slot is a number's again afterwards.
    fn pointer_spill(&mut self) -> Option<Item> {
        let src = self.pointer()?;
        let dst = self.target();
        let slot = self.stack_offset(Size::DW);
        let kind = self.kind(src);
        self.set(dst, kind);
        let mut parts = vec![
            Item::Op(Instruction::Store {
                size: Size::DW,
                base: Reg::R10,
                offset: slot,
                src: Operand::Reg(src),
            }),
            load(Size::DW, dst, Reg::R10, slot),
            Item::Op(Instruction::Store {
                size: Size::DW,
                base: Reg::R10,
                offset: slot,
                src: Operand::Imm(0),
            }),
        ];
        parts.push(self.access(dst)?);
        Some(Item::Group(parts))
    }

    /// Packet data at a bounded number, checked against the end.
    fn packet_at_number(&mut self) -> Option<Item> {
        let (data, data_end) = self.packet_fields()?;
        if !self.main {
            return None;
        }
        let index = self.number()?;
        let (start, end, probe) = (self.target(), self.target(), self.target());
        let mut used = [start, end, probe, index].map(Reg::number);
        used.sort_unstable();
        if used.windows(2).any(|pair| pair[0] == pair[1]) {
            return None;
        }
        let size = self.rng.pick(&Size::ALL);
        let mask = self.rng.pick(&[7, 31, 0xff, 0x7fff, 0xffff]);
        let room = self.rng.pick(&[1, 2, 4, 8, 14]);
        let width = self.width();
        let parts = vec![
            mov(end, Operand::Reg(index)),
            Item::Op(Instruction::Alu {
                width,
                op: AluOp::And,
                dst: end,
                src: Operand::Imm(mask),
            }),
            load(Size::W, start, Reg::R6, data),
            alu(AluOp::Add, start, Operand::Reg(end)),
            load(Size::W, end, Reg::R6, data_end),
            mov(probe, Operand::Reg(start)),
            alu(AluOp::Add, probe, Operand::Imm(room)),
            Item::Leave(Test {
                width: Width::W64,
                cond: self.rng.pick(&[Condition::Gt, Condition::Ge]),
                dst: probe,
                src: Operand::Reg(end),
            }),
            load(size, probe, start, self.rng.below(3) as i16),
        ];
        self.set(start, Kind::Packet(room as i16));
        self.set(end, Kind::Nothing);
        self.set(probe, Kind::Number);
        Some(Item::Group(parts))
    }

    /// A copy at a known distance; what is learnt of one holds for the other.
    fn distance(&mut self) -> Option<Item> {
        let first = self.number()?;
        let (second, pointer) = (self.target(), self.target());
        if second == first || pointer == first || pointer == second {
            return None;
        }
        let (move_width, add_width, test_width) = (self.width(), self.width(), self.width());
        let by = self.rng.pick(&[1, 2, 8, 16, -1, -8]);
        let (tested, used) = if self.rng.one_in(2) {
            (first, second)
        } else {
            (second, first)
        };
        self.set(second, Kind::Number);
        self.set(pointer, Kind::Number);
        Some(Item::Group(vec![
            Item::Op(Instruction::Alu {
                width: move_width,
                op: AluOp::Mov,
                dst: second,
                src: Operand::Reg(first),
            }),
            Item::Op(Instruction::Alu {
                width: add_width,
                op: AluOp::Add,
                dst: second,
                src: Operand::Imm(by),
            }),
            Item::Leave(Test {
                width: test_width,
                cond: Condition::Gt,
                dst: tested,
                src: Operand::Imm(self.rng.pick(&[7, 15, 31])),
            }),
            Item::Leave(Test {
                width: self.width(),
                cond: self.rng.pick(&[Condition::SLt, Condition::Lt]),
                dst: used,
                src: Operand::Imm(self.rng.pick(&[0, 1, 8])),
            }),
            mov(pointer, Operand::Reg(Reg::R10)),
            // From 16 below (distance and its reverse) to 47 above stays in what was written.
            alu(AluOp::Add, pointer, Operand::Imm(16 - i32::from(SCRATCH))),
            alu(AluOp::Add, pointer, Operand::Reg(used)),
            load(Size::B, pointer, pointer, 0),
        ]))
    }

    /// A branch whose way is known, with nonsense on the other one.
    fn known_branch(&mut self) -> Option<Item> {
        let dst = self.target();
        let value = self.imm();
        let width = self.width();
        let nothing = (0..10).find(|n| self.kinds[*n] == Kind::Nothing)?;
        self.set(dst, Kind::Number);
        let mut parts = vec![Item::Op(Instruction::Alu {
            width,
            op: AluOp::Mov,
            dst,
            src: Operand::Imm(value),
        })];
        if reg(nothing as u8) == dst {
            return Some(Item::Group(parts));
        }
        let (cond, limit) = match self.rng.below(4) {
            0 => (Condition::Ne, value),
            1 => (Condition::SGt, value),
            2 => (Condition::Lt, value),
            _ => (Condition::Set, 0),
        };
        parts.push(Item::If {
            test: Test {
                width,
                cond,
                dst,
                src: Operand::Imm(limit),
            },
            then: vec![alu(AluOp::Add, dst, Operand::Reg(reg(nothing as u8)))],
            otherwise: Vec::new(),
        });
        Some(Item::Group(parts))
    }

    /// `r0 = *(size *)skb[...]`, which ends the program where the packet is too short.
    fn packet_load(&mut self) -> Option<Item> {
        if !self.main
            || matches!(
                self.prog_type,
                ProgType::Xdp | ProgType::Syscall | ProgType::RawTracepoint
            )
            || !self.may_call()
            // It may end the program: not within a subprogram or while an iterator lives.
            || !self.top
            || self.iterators > 0
        {
            return None;
        }
        let mode = match self.number() {
            Some(index) if self.rng.one_in(2) => PacketMode::Indirect(index),
            _ => PacketMode::Absolute,
        };
        let instruction = Instruction::PacketLoad {
            size: self.rng.pick(&[Size::B, Size::H, Size::W]),
            mode,
            imm: self.rng.below(20) as i32,
        };
        self.clobber();
        Some(Item::Op(instruction))
    }
}
