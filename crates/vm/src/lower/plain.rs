//! Instructions that become one operation, whatever else is known of them: by a table of opcodes. What
//! comes next in a program is nothing that a machine could foresee, so most of it goes one way.

use panal_isa::{AluOp, Condition, Size, Slot, Width};
use panal_verifier::{Access, BranchFact, Fact, Region};

use super::{
    emit::{Emitter, FRAME},
    memory::{frame_load_code, is_in_frame, load_code, store_code},
};
use crate::op::{Code, Op, Tag, alu, branch};

/// Kinds of such instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Arithmetic, exits, loads of a wide immediate, plain accesses: nothing more than the operation.
    Simple,
    /// Branches and jumps.
    Jump,
    /// Any other.
    None,
}

/// What an opcode becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plain {
    kind: Kind,
    code: Code,
    /// The same of an access within the own frame.
    in_frame: Code,
    /// The source register's number as it counts: all of it where the second operand is a register.
    source: u8,
    /// Which bits of the immediate count: a place in [`IMMEDIATES`].
    imm: u8,
    /// Bytes of an access; what is none lies in no frame with so many.
    bytes: u8,
    /// Slots that it takes: the second has the immediate's upper half.
    slots: u8,
    /// It reads at its source register.
    load: bool,
    /// It writes its destination register.
    writes: bool,
    /// Registers and offset, in the order of a slot's bits, that must be zero.
    zero: u32,
}

/// Bits of a sign-extended immediate that count: none, the lower half, all; of a shift's.
const IMMEDIATES: [u64; 8] = [0, u32::MAX as u64, u64::MAX, 31, 63, 0, 0, 0];

/// The source register and the offset of a slot, among its bits.
const SOURCE: u32 = 0xf0 << 8;
const OFFSET: u32 = 0xffff << 16;

const OTHER: Plain = Plain {
    kind: Kind::None,
    code: Code::Trap,
    in_frame: Code::Trap,
    source: 0,
    imm: 0,
    bytes: u8::MAX,
    slots: 1,
    load: false,
    writes: false,
    zero: 0,
};

/// The source register where an opcode has one.
const fn source(by_register: bool) -> u8 {
    if by_register { 15 } else { 0 }
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
            kind: Kind::Simple,
            code: Code::Exit,
            zero: OFFSET,
            ..OTHER
        },
        5 => conditional(opcode >> 4, Width::W64, by_register),
        6 => conditional(opcode >> 4, Width::W32, by_register),
        0 if opcode == 0x18 => Plain {
            kind: Kind::Simple,
            code: Code::Mov64K,
            imm: 1,
            slots: 2,
            writes: true,
            zero: SOURCE | OFFSET,
            ..OTHER
        },
        class @ 1..=3 if opcode >> 5 == 3 => {
            let (size, bytes) = match opcode >> 3 & 3 {
                0 => (Size::W, 4),
                1 => (Size::H, 2),
                2 => (Size::B, 1),
                _ => (Size::DW, 8),
            };
            let (load, by_number) = (class == 1, class == 2);
            Plain {
                kind: Kind::Simple,
                code: match load {
                    true => load_code(size, false),
                    false => store_code(size, by_number, false),
                },
                in_frame: match load {
                    true => frame_load_code(size, false),
                    false => store_code(size, by_number, true),
                },
                source: source(!by_number),
                imm: if by_number { 2 } else { 0 },
                bytes,
                load,
                writes: load,
                ..OTHER
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
        kind: Kind::Simple,
        code: alu(op, width, !by_register),
        source: source(by_register),
        imm: immediate(width, by_register, shift),
        writes: true,
        // Others are signed divisions and sign extensions.
        zero: OFFSET,
        ..OTHER
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
        kind: Kind::Jump,
        code: branch(condition, width, !by_register),
        source: source(by_register),
        imm: immediate(width, by_register, false),
        ..OTHER
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
    /// Lowers slots in order that are plain or dead, from the first of an instruction on: the first slot
    /// that is neither, or begins a function.
    #[inline(never)]
    pub fn all_plain(&mut self, mut slot: usize) -> usize {
        let (slots, facts) = (self.source.slots, self.source.facts);
        let end = slots.len().min(facts.len()).min(self.next_slot as usize);
        let frame = self.frame;
        let (mut rows, places, jumps) = self.rows(slot, end);
        while let (Some(raw), Some(fact)) = (slots[..end].get(slot), facts[..end].get(slot)) {
            let plain = of(raw);
            if fact.dead {
                // Falling into it is a trap.
                if !rows.last.ends() {
                    rows.put(slot, Op::new(Code::Trap));
                }
                slot += usize::from(plain.slots);
                continue;
            }
            if let Some(place) = places.get_mut(slot) {
                *place = rows.here();
            }
            let registers = raw.registers;
            let dst = registers & 15;
            let offset = i32::from(raw.offset);
            let op = Op {
                dst,
                src: registers >> 4 & plain.source,
                imm: i64::from(raw.imm) as u64 & IMMEDIATES[usize::from(plain.imm) & 7],
                ..Op::new(plain.code)
            };
            if plain.kind == Kind::Simple {
                let (tag, is_plain) = accessed(fact);
                let fields = u32::from(registers) << 8 | u32::from(raw.offset as u16) << 16;
                let simple = (fields & plain.zero == 0)
                    & is_plain
                    & !fact.narrow
                    & !(plain.writes & (dst == FRAME));
                let next = slots.get(slot + usize::from(plain.slots) - 1);
                let (true, Some(next)) = (simple, next) else {
                    break;
                };
                let base = if plain.load { op.src } else { dst };
                let in_frame = is_in_frame(frame, base, offset, plain.bytes.into());
                // All of it, or nothing.
                let more = (u64::from(plain.slots) - 1).wrapping_neg();
                let op = Op {
                    code: [plain.code, plain.in_frame][usize::from(in_frame)],
                    tag,
                    off: offset,
                    imm: op.imm | u64::from(next.imm as u32) << 32 & more,
                    ..op
                };
                rows.put(slot, op);
                slot += usize::from(plain.slots);
                continue;
            }
            if plain.kind == Kind::None {
                break;
            }
            let op = match fact.branch {
                BranchFact::Both => op,
                BranchFact::Always => Op::new(Code::Jump),
                BranchFact::Never => {
                    slot += 1;
                    continue;
                }
            };
            jumps.push((rows.here(), slot as i64 + 1 + i64::from(offset)));
            rows.put(slot, op);
            slot += 1;
        }
        let count = rows.count;
        // SAFETY: there is room for so many, and so many were written.
        unsafe { self.grow(count) };
        self.slot = slot.saturating_sub(1) as u32;
        slot
    }
}

/// What an instruction accesses, and whether the access is as plain as any other.
#[inline(always)]
fn accessed(fact: &Fact) -> (Tag, bool) {
    // In one, which is a table then.
    let kind = match fact.access {
        None => 0,
        Some(Access { region, .. }) => match region {
            Region::Memory => 0,
            Region::Stack => 1,
            Region::Packet => 2,
            Region::MapValue { .. } => 3,
            Region::Context | Region::Arena | Region::Socket | Region::Btf => 4,
        },
    };
    const TAGS: [Tag; 8] = {
        use Tag::*;
        [None, Stack, Packet, Shared, None, None, None, None]
    };
    (TAGS[kind & 7], kind < 4)
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::{super::Source, *};
    use crate::Linkage;
    use panal_isa::Code as Program;

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
        fact: &Fact,
        step: impl FnOnce(&mut Emitter<'_>, &Program) -> bool,
    ) -> Option<Vec<Op>> {
        let slots = slots_of(slot);
        let program = Program::decode(&slots).ok()?;
        let source = Source {
            name: "test",
            slots: &slots,
            instructions: program.by_slot(),
            facts: &vec![*fact; slots.len()],
            calls: &[],
            functions: [(0, 64)].into_iter().collect(),
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
        let by_table = lowered(slot, fact, |emitter, _| emitter.all_plain(0) != 0);
        by_table.as_ref()?;
        let by_instruction = lowered(slot, fact, |emitter, program| {
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
                branch: BranchFact::Always,
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
                    // Only what compares goes always or never one way.
                    let compares = matches!(opcode & 7, 5 | 6) && opcode != 0x05;
                    let fits = |f: &&Fact| {
                        (accesses || f.access.is_none())
                            && (compares || f.branch == BranchFact::Both)
                    };
                    for fact in facts.iter().filter(fits) {
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
