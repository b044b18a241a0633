//! Programs as long as programs may be: a million instructions. Machine code for all of them is made
//! in bounded time and memory, and computes what a model says.

mod common;

use std::time::{Duration, Instant};

use common::{Home, Nothing};
use panal_isa::{AluOp, Code, Instruction, Operand, Reg, Slot, Width, assemble::assemble};
use panal_vm::{Aarch64Gates, Executable, JitError, JitOptions};

/// Most slots of a program.
const SLOTS: usize = 1_000_000;

/// A program that begins and ends so, with as many copies of the middle between as there is room for;
/// and how many.
fn filled(begin: &str, middle: &str, end: &str) -> (Vec<Slot>, usize) {
    let part = |text: &str| assemble(text, &mut ()).expect("assembles").slots;
    let (begin, middle, end) = (part(begin), part(middle), part(end));
    let count = (SLOTS - begin.len() - end.len()) / middle.len();
    let mut slots = begin;
    for _ in 0..count {
        slots.extend_from_slice(&middle);
    }
    slots.extend_from_slice(&end);
    (slots, count)
}

/// How long a compilation may take on a slow machine that does other things: a microsecond for an
/// instruction is twenty times what it takes.
const LONGEST: Duration = Duration::from_secs(20);
/// Most bytes of machine code for a slot, with all that belongs to it.
const BYTES: usize = 128;

/// Compiles and runs it in and out of the cage.
fn check(name: &str, slots: &[Slot], expected: u64) {
    let home = Home::new();
    for cage in [None, home.shape()] {
        // SAFETY: there are no helpers.
        let mut executable = unsafe { Executable::from_unproven(name, slots, &Nothing) }.unwrap();
        // SAFETY: these programs stay in their frames.
        unsafe { executable.trust() };
        let options = JitOptions {
            cage,
            ..JitOptions::host()
        };
        let gates = Aarch64Gates::here();
        let begin = Instant::now();
        let other = executable.compile_for_aarch64(options, &gates);
        let took = begin.elapsed();
        let len = other.expect("machine code for aarch64").len();
        println!("{name}: aarch64: {len} bytes in {took:?}");
        assert!(
            took < LONGEST && len < BYTES * SLOTS,
            "{name}: {took:?}, {len}"
        );
        let begin = Instant::now();
        match executable.compile(options) {
            Err(JitError::Cpu) => return println!("skipped: no machine code for this CPU"),
            other => other.expect("machine code"),
        }
        let took = begin.elapsed();
        let len = executable.machine_code_len().unwrap_or(0);
        println!("{name}: {} slots to {len} bytes in {took:?}", slots.len());
        assert!(took < LONGEST, "{name}: {took:?}");
        assert!(len < BYTES * SLOTS, "{name}: {len} bytes");
        let mut run = home.run();
        // Where many jumps lead back, straight code counts as loops.
        run.budget = u64::MAX;
        let outcome = executable.run_compiled(&mut run, 0);
        assert_eq!(outcome, Ok(expected), "{name}, cage {cage:?}");
        assert_eq!(executable.run(&mut run, 0), Ok(expected), "{name}");
    }
}

#[test]
fn a_million_additions() {
    let (slots, count) = filled("r0 = 0\nr1 = 3", "r0 += r1", "exit");
    check("additions", &slots, 3 * count as u64);
}

#[test]
fn wide_immediates() {
    let (slots, count) = filled("r0 = 0", "r1 = 0x123456789 ll\nr0 += r1", "exit");
    let expected = 0x1_2345_6789u64.wrapping_mul(count as u64);
    check("immediates", &slots, expected);
}

#[test]
fn divisions() {
    let middle = "r0 += 1\nr1 = 7\nr0 s%= r1\nr3 = r0\nr3 /= r1\nr0 += r3";
    let (slots, count) = filled("r0 = 0", middle, "exit");
    let expected = (0..count).fold(0u64, |r0, _| (r0 + 1) % 7);
    check("divisions", &slots, expected);
}

#[test]
fn atomics_of_the_frame() {
    let middle = "r2 = 2\nr2 = atomic_fetch_or((u64 *)(r3 - 8), r2)\nlock *(u32 *)(r3 - 16) += w1";
    let begin = "r3 = r10\nr1 = 1\nr2 = 0\n*(u64 *)(r10 - 8) = 0\n*(u64 *)(r10 - 16) = 0";
    let end = "r0 = *(u64 *)(r10 - 8)\nr0 <<= 32\nr1 = *(u64 *)(r10 - 16)\nr0 |= r1\nexit";
    let (slots, count) = filled(begin, middle, end);
    check("atomics", &slots, 2 << 32 | count as u64);
}

#[test]
fn loads_that_nothing_is_known_of() {
    // The address goes through memory: in a cage each access is compared.
    let begin = "r2 = r10\nr2 += -16\n*(u64 *)(r10 - 8) = r2\n*(u64 *)(r10 - 16) = 5\nr0 = 0";
    let middle = "r3 = *(u64 *)(r10 - 8)\nr4 = *(u32 *)(r3 + 0)\nr0 += r4\n*(u16 *)(r3 + 4) = 0";
    let (slots, count) = filled(begin, middle, "exit");
    check("loads", &slots, 5 * count as u64);
}

#[test]
fn conditions_that_lead_everywhere() {
    // Each leads as far as an offset can.
    let mut slots = assemble("r0 = 0\nr1 = 1", &mut ()).unwrap().slots;
    let far = assemble("if r1 != 1 goto +32767\nif r0 s> r1 goto -32768", &mut ());
    let far = far.unwrap().slots;
    let add = assemble("r0 += 0", &mut ()).unwrap().slots;
    for _ in 0..32_768 {
        slots.extend_from_slice(&add);
    }
    while slots.len() < SLOTS - 32_768 {
        slots.extend_from_slice(&far);
    }
    let end = assemble("r0 = 77\nexit", &mut ()).unwrap().slots;
    while slots.len() < SLOTS - end.len() {
        slots.extend_from_slice(&add);
    }
    slots.extend_from_slice(&end);
    check("conditions", &slots, 77);
}

#[test]
fn functions_that_only_return() {
    let reg = |n| Reg::new(n).unwrap();
    let alu = |op, dst, src| Instruction::Alu {
        width: Width::W64,
        op,
        dst: reg(dst),
        src,
    };
    // 200,000 functions, each called once.
    let count = 200_000;
    let text = "r0 = 0\nr6 = 0";
    let mut slots = assemble(text, &mut ()).unwrap().slots;
    let call = |to: usize, from: usize| {
        assemble(&format!("call +{}", to - from - 1), &mut ()).map(|a| a.slots)
    };
    let first = slots.len() + 2 * count + 2;
    for n in 0..count {
        let at = slots.len();
        slots.extend(call(first + 2 * n, at).expect("a call"));
        slots.extend(Code::from_instructions([alu(AluOp::Add, 6, Operand::Reg(reg(0)))]).slots());
    }
    slots.extend(assemble("r0 = r6\nexit", &mut ()).unwrap().slots);
    assert_eq!(slots.len(), first);
    for n in 0..count {
        let one = alu(AluOp::Mov, 0, Operand::Imm((n % 5) as i32));
        slots.extend(Code::from_instructions([one, Instruction::Exit]).slots());
    }
    let expected = (0..count as u64).map(|n| n % 5).sum();
    check("functions", &slots, expected);
}
