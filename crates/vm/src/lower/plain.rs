//! Instructions that become one operation, whatever else is known of them: by a table of opcodes. What
//! comes next in a program is nothing that a machine could foresee, so most of it goes one way.

use panal_isa::{AluOp, Condition, Size, Slot, Width};
use panal_verifier::{BranchFact, Fact, Region};

use super::{
    emit::{Emitter, FRAME, tag},
    memory::{frame_load_code, load_code, store_code},
};
use crate::op::{Code, Op, alu, branch};

/// Kinds of such instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Any other.
    None,
    Arithmetic,
    Branch,
    Jump,
    Exit,
    Load,
    Store,
    /// A load of a wide immediate: the next slot has its upper half.
    Wide,
}

/// What an opcode becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plain {
    kind: Kind,
    code: Code,
    /// Whether the second operand is a register.
    by_register: bool,
    /// Which bits of the immediate count: a place in [`IMMEDIATES`]; bytes of an access.
    imm: u8,
}

/// Bits of a sign-extended immediate that count: none, the lower half, all; of a shift's.
const IMMEDIATES: [u64; 8] = [0, u32::MAX as u64, u64::MAX, 31, 63, 0, 0, 0];

const OTHER: Plain = Plain {
    kind: Kind::None,
    code: Code::Trap,
    by_register: false,
    imm: 0,
};

impl Plain {
    #[inline]
    pub fn is_any(&self) -> bool {
        self.kind != Kind::None
    }
}

/// What a slot becomes, if it is the first of an instruction of this kind. The second of a wide
/// immediate has an opcode that is none.
#[inline]
pub(super) fn of(slot: &Slot) -> &'static Plain {
    static TABLE: [Plain; 256] = table();
    &TABLE[usize::from(slot.opcode)]
}

const fn table() -> [Plain; 256] {
    let mut table = [OTHER; 256];
    let mut opcode = 0;
    while opcode < table.len() {
        table[opcode] = plain(opcode as u8);
        opcode += 1;
    }
    table
}

/// RFC 9669: the low three bits are the class.
const fn plain(opcode: u8) -> Plain {
    let by_register = opcode & 8 != 0;
    match opcode & 7 {
        4 => arithmetic(opcode >> 4, Width::W32, by_register),
        7 => arithmetic(opcode >> 4, Width::W64, by_register),
        5 if opcode == 0x05 => Plain {
            kind: Kind::Jump,
            code: Code::Jump,
            ..OTHER
        },
        5 if opcode == 0x95 => Plain {
            kind: Kind::Exit,
            code: Code::Exit,
            ..OTHER
        },
        5 => conditional(opcode >> 4, Width::W64, by_register),
        6 => conditional(opcode >> 4, Width::W32, by_register),
        0 if opcode == 0x18 => Plain {
            kind: Kind::Wide,
            code: Code::Mov64K,
            ..OTHER
        },
        class @ 1..=3 if opcode >> 5 == 3 => {
            let (size, imm) = match opcode >> 3 & 3 {
                0 => (Size::W, 4),
                1 => (Size::H, 2),
                2 => (Size::B, 1),
                _ => (Size::DW, 8),
            };
            let (kind, code) = match class {
                1 => (Kind::Load, load_code(size, false)),
                _ => (Kind::Store, store_code(size, class == 2, false)),
            };
            Plain {
                kind,
                code,
                by_register: class != 2,
                imm,
            }
        }
        _ => OTHER,
    }
}

const fn arithmetic(op: u8, width: Width, by_register: bool) -> Plain {
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
        _ => return OTHER,
    };
    let shift = matches!(op, AluOp::Lsh | AluOp::Rsh | AluOp::Arsh);
    Plain {
        kind: Kind::Arithmetic,
        code: alu(op, width, !by_register),
        by_register,
        imm: immediate(width, by_register, shift),
    }
}

const fn conditional(op: u8, width: Width, by_register: bool) -> Plain {
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
        _ => return OTHER,
    };
    Plain {
        kind: Kind::Branch,
        code: branch(condition, width, !by_register),
        by_register,
        imm: immediate(width, by_register, false),
    }
}

/// A place in [`IMMEDIATES`].
const fn immediate(width: Width, by_register: bool, shift: bool) -> u8 {
    match (width, shift) {
        _ if by_register => 0,
        (Width::W32, false) => 1,
        (Width::W64, false) => 2,
        (Width::W32, true) => 3,
        (Width::W64, true) => 4,
    }
}

impl Emitter<'_> {
    /// Lowers the first of slots, of such an opcode; false where its other fields or what is known make
    /// more of it.
    #[inline]
    pub fn plainly(&mut self, plain: &Plain, slots: &[Slot], fact: &Fact) -> bool {
        let Some(slot) = slots.first() else {
            return false;
        };
        let registers = slot.registers;
        let offset = i32::from(slot.offset);
        let imm = i64::from(slot.imm) as u64;
        let op = Op {
            dst: registers & 15,
            src: if plain.by_register { registers >> 4 } else { 0 },
            imm: imm & IMMEDIATES[usize::from(plain.imm) & 7],
            ..Op::new(plain.code)
        };
        match plain.kind {
            // Others are signed divisions and sign extensions.
            Kind::Arithmetic => {
                if offset != 0 || fact.narrow {
                    return false;
                }
                self.emit_written(op);
            }
            Kind::Branch | Kind::Jump => {
                if fact.branch != BranchFact::Both {
                    return false;
                }
                self.emit_tagged(op);
                self.note_jump(offset.into());
            }
            Kind::Exit => self.emit_tagged(op),
            Kind::Load | Kind::Store => {
                let region = fact.access.map(|access| access.region);
                if let Some(Region::Context | Region::Socket | Region::Btf | Region::Arena) = region
                {
                    return false;
                }
                let load = plain.kind == Kind::Load;
                let base = if load { op.src } else { op.dst };
                let frame = self.is_in_own_frame(base, offset, plain.imm.into());
                let op = Op {
                    code: if frame { in_frame(op.code) } else { op.code },
                    off: offset,
                    imm: if plain.by_register { 0 } else { imm },
                    tag: tag(fact),
                    ..op
                };
                match load {
                    true => self.emit_written(op),
                    false => self.emit_tagged(op),
                }
            }
            Kind::Wide => {
                let (0, Some(next)) = (registers >> 4, slots.get(1)) else {
                    return false;
                };
                self.emit_written(Op {
                    imm: u64::from(slot.imm as u32) | u64::from(next.imm as u32) << 32,
                    ..op
                });
            }
            Kind::None => return false,
        }
        true
    }

    /// An operation that writes its destination.
    #[inline]
    fn emit_written(&mut self, op: Op) {
        if op.dst == FRAME {
            self.note_frame_written();
        }
        self.emit_tagged(op);
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

    /// A slot, and the second of a wide immediate.
    fn slots_of(slot: Slot) -> Vec<Slot> {
        let next = Slot {
            imm: -3,
            ..Slot::default()
        };
        match slot.opcode {
            0x18 => vec![slot, next],
            _ => vec![slot],
        }
    }

    /// What the emitter has written after a step on a slot; `None` where it took nothing.
    fn lowered(
        slot: Slot,
        step: impl FnOnce(&mut Emitter<'_>, &Program) -> bool,
    ) -> Option<Vec<Op>> {
        let slots = slots_of(slot);
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
        let by_table = lowered(slot, |emitter, _| {
            emitter.plainly(of(&slot), &slots_of(slot), fact)
        });
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
                    // Only what accesses memory has a region.
                    let accesses = (1..=3).contains(&(opcode & 7));
                    for fact in facts.iter().filter(|f| accesses || f.access.is_none()) {
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
