//! What the verifier accepts never leaves its objects: bytes become a program, and if it is proven,
//! it runs with every access checked.

use std::sync::OnceLock;

use panal_isa::{
    AluOp, AtomicOp, ByteOrder, CallTarget, Code, Condition, Imm64, Instruction, Operand, Reg,
    Size, Width,
};
use panal_kernel::{Budget, PanalKernel};
use panal_uapi::{
    MapType, ProgType,
    kernel::{Fd, Kernel, MapSpec, ProgSpec, TestRun},
};

/// Bytes of a value of the map; no multiple of eight.
const VALUE: u32 = 44;
const LOOKUP: CallTarget = CallTarget::Helper(1);

/// A kernel that checks, and its map.
struct Bench {
    kernel: PanalKernel,
    map: Fd,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let builder = PanalKernel::builder().checked(true).budget(Budget {
            steps: Some(100_000),
            time: None,
        });
        let kernel = builder.build().expect("a kernel");
        let spec = MapSpec::new(MapType::Array, 4, VALUE, 3).named("values");
        let map = kernel.map_create(&spec).expect("a map");
        Bench { kernel, map }
    })
}

/// Bytes as a source of choices; zeros at the end.
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
        Reg::new(self.byte() % 10).expect("below ten")
    }

    /// Small numbers mostly, and the edges.
    fn imm(&mut self) -> i32 {
        const EDGES: [i32; 8] = [0, -1, i32::MIN, i32::MAX, 0x7f, 0xff, 0xffff, 0x1_0000];
        match self.byte() {
            b @ 0..160 => i32::from(b) - 16,
            b @ 160..200 => EDGES[usize::from(b) % 8],
            b => 1 << (b % 31),
        }
    }

    fn width(&mut self) -> Width {
        self.pick(&[Width::W64, Width::W32])
    }

    fn size(&mut self) -> Size {
        self.pick(&[Size::B, Size::H, Size::W, Size::DW])
    }
}

fn alu(width: Width, op: AluOp, dst: Reg, src: Operand) -> Instruction {
    Instruction::Alu {
        width,
        op,
        dst,
        src,
    }
}

fn mov(dst: Reg, src: Operand) -> Instruction {
    alu(Width::W64, AluOp::Mov, dst, src)
}

fn branch(cond: Condition, dst: Reg, src: Operand, offset: i16) -> Instruction {
    Instruction::Branch {
        width: Width::W64,
        cond,
        dst,
        src,
        offset,
    }
}

/// The context in r6, a map's value in r7, packet bounds in r8 and r9, numbers elsewhere.
fn prologue(prog_type: ProgType, map: i32, chosen: &mut Choices<'_>) -> Vec<Instruction> {
    let store = |offset, imm| Instruction::Store {
        size: Size::DW,
        base: Reg::R10,
        offset,
        src: Operand::Imm(imm),
    };
    let mut code = vec![mov(Reg::R6, Operand::Reg(Reg::R1))];
    code.extend((1..=6).map(|i| store(-8 * i, i32::from(i))));
    code.push(Instruction::Store {
        size: Size::W,
        base: Reg::R10,
        offset: -64,
        src: Operand::Imm(i32::from(chosen.byte() % 4)),
    });
    code.extend([
        mov(Reg::R2, Operand::Reg(Reg::R10)),
        alu(Width::W64, AluOp::Add, Reg::R2, Operand::Imm(-64)),
        Instruction::LoadImm64 {
            dst: Reg::R1,
            imm: Imm64::MapFd(map),
        },
        Instruction::Call(LOOKUP),
        branch(Condition::Ne, Reg::R0, Operand::Imm(0), 2),
        mov(Reg::R0, Operand::Imm(0)),
        Instruction::Exit,
        mov(Reg::R7, Operand::Reg(Reg::R0)),
    ]);
    let field = |dst, offset| Instruction::Load {
        size: Size::W,
        signed: false,
        dst,
        base: Reg::R6,
        offset,
    };
    // `data` and `data_end` of the two contexts.
    match prog_type {
        ProgType::Xdp => code.extend([field(Reg::R8, 0), field(Reg::R9, 4)]),
        ProgType::SchedCls => code.extend([field(Reg::R8, 76), field(Reg::R9, 80)]),
        _ => code.extend([Reg::R8, Reg::R9].map(|r| mov(r, Operand::Imm(1)))),
    }
    let word = Instruction::Load {
        size: Size::DW,
        signed: false,
        dst: Reg::R1,
        base: Reg::R7,
        offset: 0,
    };
    code.push(word);
    code.push(mov(Reg::R0, Operand::Imm(0)));
    code.extend([Reg::R2, Reg::R3, Reg::R4, Reg::R5].map(|r| mov(r, Operand::Reg(Reg::R1))));
    code
}

/// One choice: an instruction, or an idiom of several.
fn part(code: &mut Vec<Instruction>, chosen: &mut Choices<'_>) {
    let number = Reg::new(chosen.byte() % 6).expect("below six");
    let pointer = chosen.pick(&[Reg::R7, Reg::R7, Reg::R8, Reg::R10, number]);
    let offset = i16::from(chosen.byte() as i8) / if pointer == Reg::R10 { 2 } else { 3 };
    match chosen.byte() % 16 {
        0..4 => {
            let src = match chosen.byte() % 3 {
                0 => Operand::Reg(chosen.reg()),
                _ => Operand::Imm(chosen.imm()),
            };
            code.push(alu(chosen.width(), chosen.pick(&AluOp::ALL), number, src));
        }
        4..6 => code.push(Instruction::Load {
            size: chosen.size(),
            signed: false,
            dst: number,
            base: pointer,
            offset,
        }),
        6 => code.push(Instruction::Load {
            size: chosen.pick(&[Size::B, Size::H, Size::W]),
            signed: true,
            dst: number,
            base: pointer,
            offset,
        }),
        7 => code.push(Instruction::Store {
            size: chosen.size(),
            base: pointer,
            offset,
            src: Operand::Reg(chosen.reg()),
        }),
        // A bound, and leaving when it does not hold: the jump leads to the end.
        8..10 => {
            let src = match chosen.byte() % 4 {
                0 => Operand::Reg(Reg::new(chosen.byte() % 6).expect("below six")),
                _ => Operand::Imm(chosen.imm()),
            };
            code.push(Instruction::Branch {
                width: chosen.width(),
                cond: chosen.pick(&Condition::ALL),
                dst: number,
                src,
                offset: if chosen.byte().is_multiple_of(3) {
                    1
                } else {
                    i16::MAX
                },
            });
        }
        // The pointer moves by a number.
        10..12 => {
            code.push(mov(Reg::R0, Operand::Reg(pointer)));
            let op = chosen.pick(&[AluOp::Add, AluOp::Add, AluOp::Sub]);
            code.push(alu(Width::W64, op, Reg::R0, Operand::Reg(number)));
            code.push(Instruction::Load {
                size: chosen.size(),
                signed: false,
                dst: Reg::R0,
                base: Reg::R0,
                offset,
            });
        }
        // A mask or a shift that bounds.
        12 => code.push(alu(
            chosen.width(),
            AluOp::And,
            number,
            Operand::Imm(chosen.pick(&[1, 3, 7, 15, 31, 32, 36, 63])),
        )),
        // Room in the packet.
        13 => {
            code.push(mov(Reg::R0, Operand::Reg(Reg::R8)));
            code.push(alu(
                Width::W64,
                AluOp::Add,
                Reg::R0,
                Operand::Imm(chosen.imm()),
            ));
            code.push(branch(
                Condition::Gt,
                Reg::R0,
                Operand::Reg(Reg::R9),
                i16::MAX,
            ));
        }
        14 => {
            let from = chosen.pick(&[Size::B, Size::H]);
            let src = Reg::new(chosen.byte() % 6).expect("below six");
            match chosen.byte() % 3 {
                0 => code.push(Instruction::Neg {
                    width: chosen.width(),
                    dst: number,
                }),
                1 => code.push(Instruction::MovSx {
                    width: chosen.width(),
                    from,
                    dst: number,
                    src,
                }),
                _ => code.push(Instruction::Endian {
                    order: chosen.pick(&[ByteOrder::Little, ByteOrder::Big, ByteOrder::Swap]),
                    size: chosen.pick(&[Size::H, Size::W, Size::DW]),
                    dst: number,
                }),
            }
        }
        _ => code.push(Instruction::Atomic {
            op: chosen.pick(&[
                AtomicOp::Add { fetch: false },
                AtomicOp::Add { fetch: true },
                AtomicOp::Xchg,
                AtomicOp::CmpXchg,
            ]),
            size: chosen.pick(&[Size::W, Size::DW]),
            base: pointer,
            offset: offset & !3,
            src: number,
        }),
    }
}

/// The program of these bytes.
fn program(data: &[u8], map: i32) -> (ProgType, Code) {
    let mut chosen = Choices(data);
    let prog_type = chosen.pick(&[ProgType::Xdp, ProgType::SchedCls, ProgType::SocketFilter]);
    let mut code = prologue(prog_type, map, &mut chosen);
    while !chosen.0.is_empty() && code.len() < 400 {
        part(&mut code, &mut chosen);
    }
    // Jumps that are too long lead to the end, the others as far as they say.
    code.push(mov(Reg::R0, Operand::Imm(0)));
    let end: usize = code.iter().map(|i| i.slots()).sum::<usize>() - 1;
    let mut slot = 0;
    for instruction in &mut code {
        slot += instruction.slots();
        if let Instruction::Branch { offset, .. } = instruction
            && slot + *offset as usize > end
        {
            *offset = (end - slot.min(end)) as i16;
        }
    }
    code.push(Instruction::Exit);
    (prog_type, Code::from_instructions(code))
}

/// Makes a program, and runs it if it is proven. True when it was.
pub(crate) fn prove_and_run(data: &[u8]) -> bool {
    let bench = bench();
    let (prog_type, code) = program(data, bench.map.number());
    let spec = ProgSpec::new("verified", prog_type, code.slots().to_vec());
    let Ok(loaded) = bench.kernel.prog_load(&spec) else {
        return false;
    };
    // Values of chance, taken from the same bytes.
    for key in 0..3u32 {
        let at = data.len() / 4 * key as usize;
        let mut value = vec![0xa5u8; VALUE as usize];
        for (v, b) in value.iter_mut().zip(&data[at..]) {
            *v = *b;
        }
        let _ = bench
            .kernel
            .map_update(&bench.map, &key.to_ne_bytes(), &value, 0);
    }
    for len in [14, 20, 60, 1000] {
        let input = TestRun {
            data_in: vec![data.len() as u8; len],
            ..TestRun::default()
        };
        let Ok(result) = bench.kernel.prog_test_run(&loaded.fd, &input) else {
            continue;
        };
        if let Some(why) = result.stopped {
            assert!(
                why.starts_with("the budget"),
                "a proven program was stopped: {why}\n{}",
                text(&code)
            );
        }
    }
    true
}

fn text(code: &Code) -> String {
    code.iter()
        .map(|(slot, i)| format!("{slot}: {}\n", i.text(Some(slot), panal_isa::Style::KERNEL)))
        .collect()
}

/// A proven program is never stopped for what it accesses.
pub fn verified(data: &[u8]) {
    prove_and_run(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generator is of use only when a good part of its programs is proven.
    #[test]
    fn some_programs_are_proven() {
        let mut state = 1u64;
        let mut proven = 0;
        for _ in 0..500 {
            let mut data = Vec::new();
            for _ in 0..40 {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                data.push((state >> 33) as u8);
            }
            proven += u32::from(prove_and_run(&data));
        }
        assert!(proven > 25, "{proven} of 500");
    }
}
