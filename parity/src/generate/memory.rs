//! Loads and stores: stack, context, packet, map values.

use super::*;

impl Generator<'_> {
    /// An aligned offset within the scratch area, below the result.
    pub(super) fn stack_offset(&mut self, size: Size) -> i16 {
        let bytes = size.bytes() as usize;
        let places = (SCRATCH as usize - 8) / bytes;
        -(SCRATCH) + (self.rng.below(places) * bytes) as i16
    }

    pub(super) fn stack_access(&mut self) -> Option<Item> {
        let size = self.rng.pick(&Size::ALL);
        let offset = self.stack_offset(size);
        match self.rng.below(6) {
            0 | 1 => {
                let dst = self.target();
                self.set(dst, Kind::Number);
                let signed = size != Size::DW && self.rng.one_in(3);
                Some(Item::Op(Instruction::Load {
                    size,
                    signed,
                    dst,
                    base: Reg::R10,
                    offset,
                }))
            }
            2 => {
                let src = self.number()?;
                Some(self.atomic(Reg::R10, self.stack_offset_of(offset), src))
            }
            3 => self.variable_stack(),
            _ => {
                let src = self.operand();
                Some(Item::Op(Instruction::Store {
                    size,
                    base: Reg::R10,
                    offset,
                    src,
                }))
            }
        }
    }

    /// The same offset, aligned to eight bytes.
    pub(super) fn stack_offset_of(&self, offset: i16) -> i16 {
        offset & !7
    }

    /// A stack access whose place is a number within bounds.
    pub(super) fn variable_stack(&mut self) -> Option<Item> {
        let index = self.number()?;
        let pointer = self.target();
        if pointer == index {
            return None;
        }
        let spare = self.target();
        if spare == index || spare == pointer {
            return None;
        }
        self.set(pointer, Kind::Nothing);
        self.set(spare, Kind::Number);
        let mut parts = vec![
            mov(spare, Operand::Reg(index)),
            alu(AluOp::And, spare, Operand::Imm(self.rng.pick(&[7, 15, 31]))),
            mov(pointer, Operand::Reg(Reg::R10)),
            alu(AluOp::Add, pointer, Operand::Imm(-i32::from(SCRATCH))),
            alu(AluOp::Add, pointer, Operand::Reg(spare)),
        ];
        parts.push(if self.rng.one_in(2) {
            load(Size::B, spare, pointer, 0)
        } else {
            Item::Op(Instruction::Store {
                size: Size::B,
                base: pointer,
                offset: 0,
                src: Operand::Imm(self.imm()),
            })
        });
        Some(Item::Group(parts))
    }

    pub(super) fn atomic(&mut self, base: Reg, offset: i16, src: Reg) -> Item {
        let fetch = self.rng.one_in(2);
        let mut op = match self.rng.below(6) {
            0 => AtomicOp::Add { fetch },
            1 => AtomicOp::Or { fetch },
            2 => AtomicOp::And { fetch },
            3 => AtomicOp::Xor { fetch },
            4 => AtomicOp::Xchg,
            _ => AtomicOp::CmpXchg,
        };
        if op == AtomicOp::CmpXchg
            && (self.kind(Reg::R0) != Kind::Number || self.counters.contains(&Reg::R0))
        {
            op = AtomicOp::Add { fetch: false };
        }
        // A fetch writes the source: not into a loop's counter.
        if self.counters.contains(&src) {
            op = AtomicOp::Add { fetch: false };
        }
        let size = self.rng.pick(&[Size::W, Size::DW]);
        Item::Op(Instruction::Atomic {
            op,
            size,
            base,
            offset,
            src,
        })
    }

    pub(super) fn context_load(&mut self) -> Option<Item> {
        if !self.main {
            return None;
        }
        let dst = self.target();
        let offset = match self.prog_type {
            // ingress_ifindex, rx_queue_index differ between kernels: only the packet's length.
            ProgType::Xdp | ProgType::Syscall | ProgType::RawTracepoint => return None,
            // len, cb[0..5]
            _ => self.rng.pick(&[0, 48, 52, 56, 60, 64]),
        };
        self.set(dst, Kind::Number);
        Some(load(Size::W, dst, Reg::R6, offset))
    }

    /// Fetches data and data_end, compares, reads and perhaps writes.
    pub(super) fn packet(&mut self) -> Option<Item> {
        let (data, data_end) = self.packet_fields()?;
        if !self.main {
            return None;
        }
        let (start, end, probe) = (self.target(), self.target(), self.target());
        if start == end || start == probe || end == probe {
            return None;
        }
        let wanted = self.rng.pick(&[1i16, 4, 14, 20, 34]);
        let mut parts = vec![
            load(Size::W, start, Reg::R6, data),
            load(Size::W, end, Reg::R6, data_end),
            mov(probe, Operand::Reg(start)),
            alu(AluOp::Add, probe, Operand::Imm(i32::from(wanted))),
        ];
        let (cond, dst, src) = match self.rng.below(4) {
            0 => (Condition::Gt, probe, end),
            1 => (Condition::Lt, end, probe),
            2 => (Condition::Ge, probe, end),
            _ => (Condition::Le, end, probe),
        };
        parts.push(Item::Leave(Test {
            width: Width::W64,
            cond,
            dst,
            src: Operand::Reg(src),
        }));
        self.set(end, Kind::Nothing);
        self.set(probe, Kind::Nothing);
        self.set(start, Kind::Packet(wanted));
        parts.push(self.access(start)?);
        Some(Item::Group(parts))
    }

    /// A load or store through a pointer, in bounds as far as the generator knows.
    pub(super) fn access(&mut self, base: Reg) -> Option<Item> {
        let (limit, shift, writable) = match self.kind(base) {
            Kind::Packet(n) => (n, 0, self.packet_writable()),
            Kind::Value(map, at) => (WIDE_MAPS[map].value_size as i16, -at, true),
            Kind::Memory(len) => (len, 0, true),
            Kind::Stack(at) => (SCRATCH - 8, -SCRATCH - at, true),
            _ => return None,
        };
        let size = self.rng.pick(&Size::ALL);
        let room = limit - size.bytes() as i16;
        if room < 0 {
            return None;
        }
        let mut offset = self.rng.below(room as usize + 1) as i16;
        if !matches!(self.kind(base), Kind::Packet(_)) {
            offset -= offset % size.bytes() as i16;
        }
        let offset = offset + shift;
        let store = writable && self.rng.one_in(2);
        if store {
            let src = self.operand();
            return Some(Item::Op(Instruction::Store {
                size,
                base,
                offset,
                src,
            }));
        }
        let dst = self.target();
        self.set(dst, Kind::Number);
        let signed = size != Size::DW && self.rng.one_in(4);
        Some(Item::Op(Instruction::Load {
            size,
            signed,
            dst,
            base,
            offset,
        }))
    }

    pub(super) fn pointer(&mut self) -> Option<Reg> {
        let all: Vec<u8> = (0..10)
            .filter(|n| {
                matches!(
                    self.kinds[usize::from(*n)],
                    Kind::Value(..) | Kind::Packet(_) | Kind::Memory(_)
                )
            })
            .collect();
        if all.is_empty() {
            None
        } else {
            Some(reg(self.rng.pick(&all)))
        }
    }

    pub(super) fn value_access(&mut self) -> Option<Item> {
        let base = self.pointer()?;
        match (self.kind(base), self.rng.below(4)) {
            (Kind::Value(_, 0), 0) => {
                let src = self.number()?;
                Some(self.atomic(base, 0, src))
            }
            (Kind::Value(map, 0), 1) => self.variable_value(base, map),
            _ => self.access(base),
        }
    }

    /// An access at a number within bounds: masked, or compared.
    pub(super) fn variable_value(&mut self, base: Reg, map: usize) -> Option<Item> {
        let index = self.number()?;
        let (pointer, spare) = (self.target(), self.target());
        if [pointer, spare].contains(&base) || [pointer, spare].contains(&index) || pointer == spare
        {
            return None;
        }
        let last = WIDE_MAPS[map].value_size as i32 - 1;
        let mut parts = vec![mov(spare, Operand::Reg(index))];
        let width = self.width();
        parts.push(match self.rng.below(4) {
            0 => {
                let mask = if last >= 63 { 63 } else { 7 };
                Item::Op(Instruction::Alu {
                    width,
                    op: AluOp::And,
                    dst: spare,
                    src: Operand::Imm(mask),
                })
            }
            1 => alu(AluOp::Mod, spare, Operand::Imm(last + 1)),
            2 => Item::Leave(Test {
                width: Width::W64,
                cond: Condition::Gt,
                dst: spare,
                src: Operand::Imm(last),
            }),
            _ => Item::Group(vec![
                Item::Leave(Test {
                    width: Width::W64,
                    cond: Condition::SGt,
                    dst: spare,
                    src: Operand::Imm(last),
                }),
                Item::Leave(Test {
                    width: Width::W64,
                    cond: Condition::SLt,
                    dst: spare,
                    src: Operand::Imm(0),
                }),
            ]),
        });
        parts.push(mov(pointer, Operand::Reg(base)));
        parts.push(alu(AluOp::Add, pointer, Operand::Reg(spare)));
        parts.push(load(Size::B, spare, pointer, 0));
        self.set(spare, Kind::Number);
        self.set(pointer, Kind::Nothing);
        Some(Item::Group(parts))
    }
}
