//! Random arithmetic against a slow, obvious model of RFC 9669.

mod common;

use common::Home;
use panal_isa::{AluOp, ByteOrder, Code, Instruction, Operand, Reg, Size, Width};
use proptest::prelude::*;

/// The value of an operand in whole numbers, signed or not, at a width.
fn whole(value: u64, width: Width, signed: bool) -> i128 {
    match (width, signed) {
        (Width::W64, false) => i128::from(value),
        (Width::W64, true) => i128::from(value as i64),
        (Width::W32, false) => i128::from(value as u32),
        (Width::W32, true) => i128::from(value as i32),
    }
}

fn bits(width: Width) -> u32 {
    if width == Width::W64 { 64 } else { 32 }
}

fn model_alu(op: AluOp, width: Width, a: u64, b: u64) -> u64 {
    let (ua, ub) = (whole(a, width, false), whole(b, width, false));
    let (sa, sb) = (whole(a, width, true), whole(b, width, true));
    let shift = (ub as u64 % u64::from(bits(width))) as u32;
    let exact = match op {
        AluOp::Add => ua + ub,
        AluOp::Sub => ua - ub,
        AluOp::Mul => sa * sb,
        AluOp::Div if ub == 0 => 0,
        AluOp::Div => ua / ub,
        AluOp::SDiv if sb == 0 => 0,
        AluOp::SDiv => sa / sb,
        AluOp::Mod if ub == 0 => ua,
        AluOp::Mod => ua % ub,
        AluOp::SMod if sb == 0 => ua,
        AluOp::SMod => sa % sb,
        AluOp::Or => ua | ub,
        AluOp::And => ua & ub,
        AluOp::Xor => ua ^ ub,
        AluOp::Lsh => ua << shift,
        AluOp::Rsh => ua >> shift,
        AluOp::Arsh => sa >> shift,
        AluOp::Mov => ub,
    };
    (exact & ((1 << bits(width)) - 1)) as u64
}

fn model(registers: &mut [u64; 10], instruction: &Instruction) {
    match *instruction {
        Instruction::Alu {
            width,
            op,
            dst,
            src,
        } => {
            let b = match src {
                Operand::Reg(r) => registers[r.index()],
                Operand::Imm(i) => i64::from(i) as u64,
            };
            registers[dst.index()] = model_alu(op, width, registers[dst.index()], b);
        }
        Instruction::Neg { width, dst } => {
            registers[dst.index()] = model_alu(AluOp::Sub, width, 0, registers[dst.index()]);
        }
        Instruction::MovSx {
            width,
            from,
            dst,
            src,
        } => {
            let n = 8 * from.bytes();
            let low = i128::from(registers[src.index()]) & ((1 << n) - 1);
            let value = if low >> (n - 1) == 1 {
                low - (1 << n)
            } else {
                low
            };
            registers[dst.index()] = (value & ((1 << bits(width)) - 1)) as u64;
        }
        Instruction::Endian { order, size, dst } => {
            let mut bytes = registers[dst.index()].to_le_bytes()[..size.bytes() as usize].to_vec();
            if order != ByteOrder::Little {
                bytes.reverse();
            }
            bytes.resize(8, 0);
            registers[dst.index()] = u64::from_le_bytes(bytes.try_into().unwrap());
        }
        _ => unreachable!("not generated"),
    }
}

fn reg() -> impl Strategy<Value = Reg> {
    (0u8..10).prop_map(|n| Reg::new(n).unwrap())
}

fn width() -> impl Strategy<Value = Width> {
    prop_oneof![Just(Width::W32), Just(Width::W64)]
}

fn imm() -> impl Strategy<Value = i32> {
    prop_oneof![any::<i32>(), -3i32..70, Just(i32::MIN), Just(i32::MAX)]
}

fn instruction() -> impl Strategy<Value = Instruction> {
    let op = prop::sample::select(AluOp::ALL.to_vec());
    let src = prop_oneof![reg().prop_map(Operand::Reg), imm().prop_map(Operand::Imm)];
    let order = prop::sample::select(vec![ByteOrder::Little, ByteOrder::Big, ByteOrder::Swap]);
    let size = prop::sample::select(vec![Size::H, Size::W, Size::DW]);
    let from = prop::sample::select(vec![Size::B, Size::H]);
    prop_oneof![
        8 => (width(), op, reg(), src)
            .prop_map(|(width, op, dst, src)| Instruction::Alu { width, op, dst, src }),
        1 => (width(), reg()).prop_map(|(width, dst)| Instruction::Neg { width, dst }),
        1 => (width(), from, reg(), reg())
            .prop_map(|(width, from, dst, src)| Instruction::MovSx { width, from, dst, src }),
        1 => (order, size, reg())
            .prop_map(|(order, size, dst)| Instruction::Endian { order, size, dst }),
    ]
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        any::<u64>().prop_map(|v| v & 0xff),
        any::<i8>().prop_map(|v| v as u64),
        Just(1 << 63),
        Just(0x8000_0000),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]
    #[test]
    fn sequences_compute_what_the_model_says(
        start in prop::array::uniform10(value()),
        body in prop::collection::vec(instruction(), 1..40),
    ) {
        use panal_isa::Imm64;
        let mut expected = start;
        for instruction in &body {
            model(&mut expected, instruction);
        }
        let home = Home::new();
        // All ten registers, folded into one value that differs when any of them does.
        let loads = (0u8..10).map(|n| Instruction::LoadImm64 {
            dst: Reg::new(n).unwrap(),
            imm: Imm64::Value(start[n as usize]),
        });
        let alu = |op, src| Instruction::Alu { width: Width::W64, op, dst: Reg::R0, src };
        let fold = (1u8..10).flat_map(|n| {
            [alu(AluOp::Mul, Operand::Imm(31)), alu(AluOp::Add, Operand::Reg(Reg::new(n).unwrap()))]
        });
        let code = Code::from_instructions(
            loads.chain(body.iter().copied()).chain(fold).chain([Instruction::Exit]),
        );
        let folded = expected[1..]
            .iter()
            .fold(expected[0], |sum, v| sum.wrapping_mul(31).wrapping_add(*v));
        prop_assert_eq!(home.execute(code.slots()), Ok(folded));
        #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]
        for optimise in [false, true] {
            let options = panal_vm::JitOptions { optimise, ..panal_vm::JitOptions::host() };
            prop_assert_eq!(
                home.execute_compiled(code.slots(), options),
                Ok(folded),
                "optimise: {}", optimise
            );
        }
    }
}
