//! Map lookups and updates.

use super::*;

impl Generator<'_> {
    pub(super) fn clobber(&mut self) {
        for kind in &mut self.kinds[1..=5] {
            *kind = Kind::Nothing;
        }
        self.kinds[0] = Kind::Number;
    }

    /// Whether a call would clobber a running loop's counter.
    pub(super) fn may_call(&self) -> bool {
        self.counters.iter().all(|c| c.number() >= 7)
    }

    /// A map lookup with its null check, kept in a callee-saved register.
    pub(super) fn lookup(&mut self) -> Option<Item> {
        if !self.may_call() {
            return None;
        }
        let keep = reg(self.rng.pick(&[7, 8, 9]));
        if self.counters.contains(&keep) {
            return None;
        }
        if self.reach == Reach::Wide && self.rng.one_in(2) {
            return Some(self.wide_lookup(keep));
        }
        let map = self.rng.below(MAPS.len());
        let key = -SCRATCH;
        let mut parts = Vec::new();
        if map == SINGLE && self.rng.one_in(2) {
            // The value's address at once, without a call.
            let offset = (self.rng.below(8) * 8) as u32;
            self.set(keep, Kind::Value(map, offset as i16));
            return Some(Item::MapValue {
                dst: keep,
                map,
                offset,
            });
        }
        let size = if MAPS[map].key_size == 8 {
            Size::DW
        } else {
            Size::W
        };
        let src = Operand::Imm(self.rng.below(6) as i32);
        parts.push(Item::Op(Instruction::Store {
            size,
            base: Reg::R10,
            offset: key,
            src,
        }));
        if MAPS[map].map_type != MapType::Array && self.rng.one_in(2) {
            parts.extend(self.update(map, key));
        }
        parts.push(mov(Reg::R2, Operand::Reg(Reg::R10)));
        parts.push(alu(AluOp::Add, Reg::R2, Operand::Imm(i32::from(key))));
        parts.push(Item::Map { dst: Reg::R1, map });
        parts.push(helper(BPF_FUNC_map_lookup_elem));
        self.clobber();
        let null = Test {
            width: Width::W64,
            cond: Condition::Eq,
            dst: Reg::R0,
            src: Operand::Imm(0),
        };
        parts.push(Item::Leave(null));
        parts.push(mov(keep, Operand::Reg(Reg::R0)));
        self.set(Reg::R0, Kind::Value(map, 0));
        self.set(keep, Kind::Value(map, 0));
        Some(Item::Group(parts))
    }

    /// `bpf_map_update_elem(map, key, stack, BPF_ANY)`
    pub(super) fn update(&mut self, map: usize, key: i16) -> Vec<Item> {
        let value = -SCRATCH + 16;
        let parts = vec![
            Item::Map { dst: Reg::R1, map },
            mov(Reg::R2, Operand::Reg(Reg::R10)),
            alu(AluOp::Add, Reg::R2, Operand::Imm(i32::from(key))),
            mov(Reg::R3, Operand::Reg(Reg::R10)),
            alu(AluOp::Add, Reg::R3, Operand::Imm(i32::from(value))),
            mov(Reg::R4, Operand::Imm(0)),
            helper(BPF_FUNC_map_update_elem),
        ];
        self.clobber();
        parts
    }
}
