//! Instructions that become one operation, whatever else is known of them: by a table of opcodes. What
//! comes next in a program is nothing that a machine could foresee, so most of it goes one way.

use panal_isa::{AluOp, Condition, Size, Slot, Width};
use panal_verifier::{BranchFact, Fact, Region};

use super::{
    emit::Emitter,
    memory::{frame_load_code, load_code, store_code},
};
use crate::op::{Code, Op, alu, branch};

/// Kinds of such instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Arithmetic,
    Branch,
    /// An access of so many bytes.
    Load(u8),
    Store(u8),
}

/// What an opcode becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plain {
    kind: Kind,
    code: Code,
    /// Whether the second operand is a register.
    by_register: bool,
    /// Bits of the immediate that count, once it was sign-extended.
    imm: u64,
}

/// What a slot becomes, if it is the first of an instruction of this kind. The second of a wide
/// immediate has an opcode that is none.
#[inline]
pub(super) fn of(slot: &Slot) -> Option<&'static Plain> {
    static TABLE: [Option<Plain>; 256] = table();
    TABLE[usize::from(slot.opcode)].as_ref()
}

const fn table() -> [Option<Plain>; 256] {
    let mut table = [None; 256];
    let mut opcode = 0;
    while opcode < table.len() {
        table[opcode] = plain(opcode as u8);
        opcode += 1;
    }
    table
}

/// RFC 9669: the low three bits are the class.
const fn plain(opcode: u8) -> Option<Plain> {
    let by_register = opcode & 8 != 0;
    match opcode & 7 {
        4 => arithmetic(opcode >> 4, Width::W32, by_register),
        7 => arithmetic(opcode >> 4, Width::W64, by_register),
        5 => conditional(opcode >> 4, Width::W64, by_register),
        6 => conditional(opcode >> 4, Width::W32, by_register),
        class @ 1..=3 if opcode >> 5 == 3 => {
            let (size, bytes) = match opcode >> 3 & 3 {
                0 => (Size::W, 4),
                1 => (Size::H, 2),
                2 => (Size::B, 1),
                _ => (Size::DW, 8),
            };
            let (kind, code) = match class {
                1 => (Kind::Load(bytes), load_code(size, false)),
                _ => (Kind::Store(bytes), store_code(size, class == 2, false)),
            };
            Some(Plain {
                kind,
                code,
                by_register: class != 2,
                imm: if class == 2 { u64::MAX } else { 0 },
            })
        }
        _ => None,
    }
}

const fn arithmetic(op: u8, width: Width, by_register: bool) -> Option<Plain> {
    let op = match op {
        0x0 => AluOp::Add,
        0x1 => AluOp::Sub,
        0x2 => AluOp::Mul,
        0x3 => AluOp::Div,
        0x4 => AluOp::Or,
        0x5 => AluOp::And,
        0x6 => AluOp::Lsh,
        0x7 => AluOp::Rsh,
        0x9 => AluOp::Mod,
        0xa => AluOp::Xor,
        0xb => AluOp::Mov,
        0xc => AluOp::Arsh,
        _ => return None,
    };
    let imm = match (op, width) {
        _ if by_register => 0,
        (AluOp::Lsh | AluOp::Rsh | AluOp::Arsh, Width::W64) => 63,
        (AluOp::Lsh | AluOp::Rsh | AluOp::Arsh, Width::W32) => 31,
        (_, Width::W64) => u64::MAX,
        (_, Width::W32) => u32::MAX as u64,
    };
    Some(Plain {
        kind: Kind::Arithmetic,
        code: alu(op, width, !by_register),
        by_register,
        imm,
    })
}

const fn conditional(op: u8, width: Width, by_register: bool) -> Option<Plain> {
    let condition = match op {
        0x1 => Condition::Eq,
        0x2 => Condition::Gt,
        0x3 => Condition::Ge,
        0x4 => Condition::Set,
        0x5 => Condition::Ne,
        0x6 => Condition::SGt,
        0x7 => Condition::SGe,
        0xa => Condition::Lt,
        0xb => Condition::Le,
        0xc => Condition::SLt,
        0xd => Condition::SLe,
        _ => return None,
    };
    let imm = match width {
        _ if by_register => 0,
        Width::W64 => u64::MAX,
        Width::W32 => u32::MAX as u64,
    };
    Some(Plain {
        kind: Kind::Branch,
        code: branch(condition, width, !by_register),
        by_register,
        imm,
    })
}

impl Emitter<'_> {
    /// Lowers an instruction of such an opcode; false where its other fields or what is known make
    /// more of it.
    #[inline]
    pub fn plainly(&mut self, plain: &Plain, slot: &Slot, fact: &Fact) -> bool {
        let registers = slot.registers;
        let op = Op {
            dst: registers & 15,
            src: if plain.by_register { registers >> 4 } else { 0 },
            imm: i64::from(slot.imm) as u64 & plain.imm,
            ..Op::new(plain.code)
        };
        let offset = i32::from(slot.offset);
        match plain.kind {
            // Others are signed divisions and sign extensions.
            Kind::Arithmetic if offset != 0 || fact.narrow => return false,
            Kind::Arithmetic => self.emit_known(op, fact),
            Kind::Branch if fact.branch != BranchFact::Both => return false,
            Kind::Branch => {
                self.emit_known(op, fact);
                self.note_jump(offset.into());
            }
            Kind::Load(bytes) | Kind::Store(bytes) => {
                let region = fact.access.map(|access| access.region);
                if let Some(Region::Context | Region::Socket | Region::Btf | Region::Arena) = region
                {
                    return false;
                }
                let base = match plain.kind {
                    Kind::Load(_) => op.src,
                    _ => op.dst,
                };
                let frame = self.is_in_own_frame(base, offset, bytes.into());
                let code = if frame { in_frame(op.code) } else { op.code };
                let op = Op {
                    code,
                    off: offset,
                    ..op
                };
                self.emit_known(op, fact);
            }
        }
        true
    }
}

/// The same access, to the frame.
fn in_frame(code: Code) -> Code {
    static IN_FRAME: [Code; 256] = {
        let mut table = [Code::Trap; 256];
        let sizes = [Size::B, Size::H, Size::W, Size::DW];
        let mut at = 0;
        while at < sizes.len() {
            let size = sizes[at];
            table[load_code(size, false) as usize] = frame_load_code(size, false);
            table[store_code(size, true, false) as usize] = store_code(size, true, true);
            table[store_code(size, false, false) as usize] = store_code(size, false, true);
            at += 1;
        }
        table
    };
    IN_FRAME[code as usize]
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use panal_isa::Code as Program;
    use panal_verifier::Access;

    use super::{super::Source, *};
    use crate::Linkage;

    struct Nothing;

    impl Linkage for Nothing {}

    /// What the emitter has written after a step on a slot; `None` where it took nothing.
    fn lowered(
        slot: Slot,
        step: impl FnOnce(&mut Emitter<'_>, &Program) -> bool,
    ) -> Option<Vec<Op>> {
        let slots = [slot];
        let program = Program::decode(&slots).ok()?;
        let source = Source {
            name: "test",
            slots: &slots,
            instructions: program.by_slot(),
            facts: &[],
            calls: &[],
            functions: vec![(0, 64)],
            exception: None,
            proven: false,
            longest_run: None,
        };
        let mut emitter = Emitter::new(&source, &Nothing);
        emitter.begin(0);
        if !step(&mut emitter, &program) {
            return None;
        }
        Some(emitter.finish().ok()?.ops.into_vec())
    }

    /// By the table and by the instruction, as it is decoded.
    fn both(slot: Slot, fact: &Fact) -> Option<[Option<Vec<Op>>; 2]> {
        let plain = of(&slot)?;
        let by_table = lowered(slot, |emitter, _| emitter.plainly(plain, &slot, fact));
        by_table.as_ref()?;
        let by_instruction = lowered(slot, |emitter, program| {
            emitter.learn(fact);
            let instruction = program.by_slot()[0].as_ref();
            instruction.is_some_and(|i| emitter.instruction(i).is_ok())
        });
        Some([by_table, by_instruction])
    }

    #[test]
    fn the_table_lowers_what_the_instruction_says() {
        let region = |region| Fact {
            access: Some(Access {
                region,
                offset: None,
            }),
            ..Fact::default()
        };
        let facts = [
            Fact::default(),
            region(Region::Stack),
            region(Region::Packet),
            region(Region::Memory),
            Fact {
                branch: BranchFact::Never,
                ..Fact::default()
            },
            Fact {
                narrow: true,
                ..Fact::default()
            },
        ];
        let mut taken = 0;
        for opcode in 0..=u8::MAX {
            for registers in [0x00, 0x07, 0x31, 0xa2, 0x0a, 0x45] {
                for (offset, imm) in [(0, 0), (-8, 77), (-1, -5), (-80, 0), (0, 0x7fff_ffff)] {
                    for fact in &facts {
                        let slot = Slot {
                            opcode,
                            registers,
                            offset,
                            imm,
                        };
                        if let Some([by_table, by_instruction]) = both(slot, fact) {
                            assert_eq!(by_table, by_instruction, "{slot:?} {fact:?}");
                            taken += 1;
                        }
                    }
                }
            }
        }
        assert!(taken > 1000, "{taken}");
    }
}
