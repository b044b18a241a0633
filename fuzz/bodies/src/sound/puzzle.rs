//! Programs that make the verifier reckon: numbers from memory go through arithmetic, comparisons
//! and the stack, and then index a map's value. Parts that make the program be refused are left
//! out, one by one, so that what remains is accepted and as close to the edge as it gets.

use panal_isa::{AluOp, Condition, Imm64, Instruction, Operand, Reg, Size, Slot, Width};

/// The map whose single value (of [`VALUE`] bytes) is indexed.
const MAP: u32 = 3;
const VALUE: i32 = 64;
/// Registers that hold numbers; r9 holds the value's address, r8 is for addresses.
const NUMBERS: u8 = 8;
/// The most parts of one program.
const PARTS: usize = 24;

const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::DW];

/// Bytes as choices; zeros at the end.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    fn reg(&mut self) -> Reg {
        Reg::new(self.byte() % NUMBERS).unwrap_or(Reg::R0)
    }

    fn width(&mut self) -> Width {
        self.pick(&[Width::W64, Width::W32])
    }

    /// Small numbers, and those around the value's size and the ends of the ranges.
    fn imm(&mut self) -> i32 {
        match self.byte() {
            b @ 0..80 => i32::from(b),
            b @ 80..140 => VALUE + i32::from(b % 20) - 12,
            b @ 140..170 => 1 << (b % 31),
            b @ 170..200 => (1 << (b % 31)) - 1,
            b @ 200..220 => -i32::from(b % 20) - 1,
            b @ 220..240 => i32::MIN.wrapping_add(i32::from(b % 5) - 2),
            _ => i32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]),
        }
    }

    fn operand(&mut self) -> Operand {
        if self.byte().is_multiple_of(3) {
            Operand::Reg(self.reg())
        } else {
            Operand::Imm(self.imm())
        }
    }
}

/// A part: instructions, and which of them jump to the end when they jump.
#[derive(Clone, Default)]
struct Part {
    code: Vec<Instruction>,
    leaves: Vec<usize>,
}

impl Part {
    fn leave(&mut self, width: Width, cond: Condition, dst: Reg, src: Operand) {
        self.leaves.push(self.code.len());
        self.code.push(Instruction::Branch {
            width,
            cond,
            dst,
            src,
            offset: 0,
        });
    }
}

/// The program that bytes choose, as far as `accepted` goes along.
pub(super) fn solve(data: &[u8], accepted: impl Fn(&[Slot]) -> bool) -> Option<Vec<Slot>> {
    let mut choices = Choices(data);
    let mut parts = Vec::new();
    let mut best = None;
    while !choices.0.is_empty() && parts.len() < PARTS {
        parts.push(part(&mut choices));
        let slots = assemble(&parts);
        if accepted(&slots) {
            best = Some(slots);
        } else {
            parts.pop();
        }
    }
    best
}

fn mov(dst: Reg, src: Operand) -> Instruction {
    Instruction::Alu {
        width: Width::W64,
        op: AluOp::Mov,
        dst,
        src,
    }
}

/// All of it: the numbers are loaded first, and the end is one for all parts.
fn assemble(parts: &[Part]) -> Vec<Slot> {
    let imm = Imm64::MapIndexValue {
        index: MAP,
        offset: 0,
    };
    let mut code = vec![Instruction::LoadImm64 { dst: Reg::R9, imm }];
    for n in 0..NUMBERS {
        let (size, signed) = [
            (Size::DW, false),
            (Size::W, false),
            (Size::W, true),
            (Size::H, false),
            (Size::B, true),
            (Size::B, false),
            (Size::DW, false),
            (Size::H, true),
        ][usize::from(n)];
        let dst = Reg::new(n).unwrap_or(Reg::R0);
        let offset = i16::from(n) * 8;
        code.push(Instruction::Load {
            size,
            signed,
            dst,
            base: Reg::R9,
            offset,
        });
    }
    for n in 1..=4 {
        code.push(Instruction::Store {
            size: Size::DW,
            base: Reg::R10,
            offset: -8 * n,
            src: Operand::Imm(0),
        });
    }
    let mut leaves = Vec::new();
    for part in parts {
        leaves.extend(part.leaves.iter().map(|at| at + code.len()));
        code.extend(&part.code);
    }
    let end = code.len();
    for at in leaves {
        if let Instruction::Branch { offset, .. } = &mut code[at] {
            *offset = (end - at - 1) as i16;
        }
    }
    code.extend([mov(Reg::R0, Operand::Imm(0)), Instruction::Exit]);
    code.iter()
        .flat_map(|instruction| {
            let (first, second) = instruction.encode();
            [Some(first), second].into_iter().flatten()
        })
        .collect()
}

fn part(choices: &mut Choices) -> Part {
    let mut part = Part::default();
    match choices.byte() % 10 {
        0..=2 => part.code.push(arithmetic(choices)),
        3 => {
            let (width, cond) = (choices.width(), choices.pick(&Condition::ALL));
            part.leave(width, cond, choices.reg(), choices.operand());
        }
        4 => {
            // Two ways that meet again.
            let inner: Vec<_> = (0..=choices.byte() % 3)
                .map(|_| arithmetic(choices))
                .collect();
            part.code.push(Instruction::Branch {
                width: choices.width(),
                cond: choices.pick(&Condition::ALL),
                dst: choices.reg(),
                src: choices.operand(),
                offset: inner.len() as i16,
            });
            part.code.extend(inner);
        }
        5 => part.code.push(stack(choices)),
        6 => {
            // A loop that counts.
            let (counter, times) = (choices.reg(), i32::from(choices.byte() % 6) + 1);
            let body = arithmetic(choices);
            part.code.extend([
                mov(counter, Operand::Imm(0)),
                body,
                Instruction::Alu {
                    width: Width::W64,
                    op: AluOp::Add,
                    dst: counter,
                    src: Operand::Imm(1),
                },
                Instruction::Branch {
                    width: choices.width(),
                    cond: choices.pick(&[Condition::Lt, Condition::SLt, Condition::Ne]),
                    dst: counter,
                    src: Operand::Imm(times),
                    offset: -3,
                },
            ]);
        }
        _ => access(choices, &mut part),
    }
    part
}

fn arithmetic(choices: &mut Choices) -> Instruction {
    let (dst, width) = (choices.reg(), choices.width());
    match choices.byte() % 12 {
        0 => Instruction::Neg { width, dst },
        1 => {
            let from = choices.pick(&[Size::B, Size::H]);
            Instruction::MovSx {
                width,
                from,
                dst,
                src: choices.reg(),
            }
        }
        2 => {
            let src = choices.reg();
            Instruction::MovSx {
                width: Width::W64,
                from: Size::W,
                dst,
                src,
            }
        }
        3 => Instruction::Endian {
            order: choices.pick(&[
                panal_isa::ByteOrder::Little,
                panal_isa::ByteOrder::Big,
                panal_isa::ByteOrder::Swap,
            ]),
            size: choices.pick(&[Size::H, Size::W, Size::DW]),
            dst,
        },
        4 | 5 => Instruction::Alu {
            width,
            op: AluOp::Mov,
            dst,
            src: Operand::Reg(choices.reg()),
        },
        _ => {
            let op = choices.pick(&AluOp::ALL);
            let mut src = choices.operand();
            if let (AluOp::Lsh | AluOp::Rsh | AluOp::Arsh, Operand::Imm(by)) = (op, &mut src) {
                *by &= if width == Width::W64 { 63 } else { 31 };
            }
            if let (AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod, Operand::Imm(by)) =
                (op, &mut src)
                && *by == 0
            {
                *by = 3;
            }
            Instruction::Alu {
                width,
                op,
                dst,
                src,
            }
        }
    }
}

/// A spill or a fill, of all or a part.
fn stack(choices: &mut Choices) -> Instruction {
    let size = choices.pick(&[Size::DW, Size::DW, Size::W, Size::H, Size::B]);
    let bytes = size.bytes() as i16;
    let offset = -32 + i16::from(choices.byte() % 32) / bytes * bytes;
    let reg = choices.reg();
    match choices.byte() % 2 {
        0 => Instruction::Store {
            size,
            base: Reg::R10,
            offset,
            src: Operand::Reg(reg),
        },
        _ => {
            let signed = size != Size::DW && choices.byte().is_multiple_of(2);
            Instruction::Load {
                size,
                signed,
                dst: reg,
                base: Reg::R10,
                offset,
            }
        }
    }
}

/// An access of the value at a number, with a check before it that is about right.
fn access(choices: &mut Choices, part: &mut Part) {
    let index = choices.reg();
    let size = choices.pick(&SIZES);
    let offset = i16::from(choices.byte() % 16) - 4;
    let last = VALUE - size.bytes() as i32 - i32::from(offset);
    let near = last + i32::from(choices.byte() % 4) - 2;
    let width = choices.width();
    match choices.byte() % 6 {
        0 => part.leave(width, Condition::Gt, index, Operand::Imm(near)),
        1 => {
            part.leave(width, Condition::SGt, index, Operand::Imm(near));
            part.leave(
                choices.width(),
                Condition::SLt,
                index,
                Operand::Imm(-i32::from(offset)),
            );
        }
        2 => part.code.push(Instruction::Alu {
            width,
            op: AluOp::And,
            dst: index,
            src: Operand::Imm(choices.pick(&[7, 15, 31, 47, 56, 60, 63])),
        }),
        _ => {}
    }
    let op = choices.pick(&[AluOp::Add, AluOp::Add, AluOp::Sub]);
    part.code.push(mov(Reg::R8, Operand::Reg(Reg::R9)));
    part.code.push(Instruction::Alu {
        width: Width::W64,
        op,
        dst: Reg::R8,
        src: Operand::Reg(index),
    });
    part.code.push(match choices.byte() % 2 {
        0 => Instruction::Load {
            size,
            signed: false,
            dst: choices.reg(),
            base: Reg::R8,
            offset,
        },
        _ => Instruction::Store {
            size,
            base: Reg::R8,
            offset,
            src: choices.operand(),
        },
    });
}
