//! The interpreter's speed, and what machine code costs to make and to enter: `cargo run --release -p panal-vm --example speed`.

use std::time::Instant;

use panal_isa::assemble::assemble;
use panal_maps::Cage;
use panal_vm::{Executable, HelperFn, JitOptions, Linkage, Run};

struct Kernel;

unsafe extern "C" fn nothing(_: u64, _: u64, _: u64, _: u64, _: u64, _: *mut Run) -> u64 {
    0
}

impl Linkage for Kernel {
    fn helper(&self, _id: u32) -> Option<HelperFn> {
        Some(nothing)
    }
}

/// Name, program; each counts `r6` down.
const PROGRAMS: &[(&str, &str)] = &[
    (
        "arithmetic",
        "r1 = 1\nr2 = 3\nagain:\nr1 *= 31\nr1 += r2\nr2 ^= r1\nr3 = r1\nr3 >>= 7\nr2 += r3\nw4 = w2\nw4 &= 255\nr1 -= r4\nr6 -= 1\nif r6 != 0 goto again\nr0 = r1\nexit",
    ),
    (
        "dependent adds",
        "r0 = 0\nagain:\nr0 += 1\nr0 += 2\nr0 += 3\nr0 += 4\nr6 -= 1\nif r6 != 0 goto again\nexit",
    ),
    (
        "memory",
        "r2 = r10\nr2 += -64\n*(u64 *)(r10 - 64) = 1\n*(u64 *)(r10 - 56) = 1\nagain:\nr1 = *(u64 *)(r2 + 0)\nr3 = *(u32 *)(r2 + 8)\nr1 += r3\n*(u64 *)(r2 + 8) = r1\nw4 = *(u8 *)(r2 + 9)\n*(u16 *)(r2 + 0) = w4\nr6 -= 1\nif r6 != 0 goto again\nr0 = r1\nexit",
    ),
    (
        "stack",
        "*(u64 *)(r10 - 8) = 1\nagain:\nr1 = *(u64 *)(r10 - 8)\nr1 += 1\n*(u64 *)(r10 - 8) = r1\nr6 -= 1\nif r6 != 0 goto again\nr0 = r1\nexit",
    ),
    (
        "branches",
        "r0 = 0\nr1 = 12345\nagain:\nr1 *= 1103515245\nr1 += 12345\nr2 = r1\nr2 >>= 16\nif r2 & 1 goto odd\nr0 += 1\nif r2 & 2 goto next\nr0 += 2\ngoto next\nodd:\nr0 ^= r2\nnext:\nr6 -= 1\nif r6 != 0 goto again\nexit",
    ),
    (
        "calls",
        "r0 = 0\nagain:\nr1 = r6\ncall f\nr6 -= 1\nif r6 != 0 goto again\nexit\nf:\nr0 = r1\nexit",
    ),
    (
        "helpers",
        "again:\ncall 1\nr6 -= 1\nif r6 != 0 goto again\nr0 = 0\nexit",
    ),
];

fn main() {
    let cage = Cage::largest().expect("a cage");
    let stack = cage
        .allocate(Run::STACK_SIZE as usize, 16)
        .expect("a stack");
    // SAFETY: cage and stack live until the end of `main`.
    let mut run = unsafe {
        Run::new(
            cage.base(),
            cage.size(),
            stack.address(),
            stack.len() as u64,
        )
    };
    let lower = |name: &str, text: &str| {
        let slots = assemble(text, &mut ()).expect("a program").slots;
        // SAFETY: the one helper does nothing.
        unsafe { Executable::from_unproven(name, &slots, &Kernel) }.expect("a program")
    };
    for (name, text) in PROGRAMS {
        let program = lower(name, &format!("r6 = 20000\n{text}"));
        let mut best = f64::MAX;
        for _ in 0..300 {
            run.budget = 1 << 40;
            let start = Instant::now();
            program.run(&mut run, 0).expect("it returns");
            let steps = (1u64 << 40) - run.budget;
            best = best.min(start.elapsed().as_nanos() as f64 / steps as f64);
        }
        println!("{name:16} {best:6.2} ns per instruction");
    }
    let empty = lower("empty", "r0 = 0\nexit");
    let mut best = f64::MAX;
    for _ in 0..300 {
        let start = Instant::now();
        for _ in 0..10_000 {
            run.budget = 1000;
            empty.run(&mut run, 0).expect("it returns");
        }
        best = best.min(start.elapsed().as_nanos() as f64 / 1e4);
    }
    println!("entry            {best:6.2} ns");
    compile(&lower);
    enter_compiled(lower("empty", "r0 = 0\nexit"), &mut run);
}

/// Typical code: arithmetic, accesses to the frame, branches.
const TYPICAL: &str = "r1 = r2\nr1 <<= 3\nr1 += r7\nr3 = *(u64 *)(r10 - 8)\nr3 ^= r1\nw4 = w3\nw4 >>= 7\n\
    if w4 > 100 goto +2\nr2 += 1\n*(u64 *)(r10 - 8) = r3\nr5 = r3\nr5 &= 255\nif r5 != 0 goto +1\nr2 ^= r4\n";

/// Prints what compilation costs for small and large programs.
fn compile(lower: &impl Fn(&str, &str) -> Executable) {
    for times in [0, 10, 100, 1000] {
        let start = "r2 = 1\nr4 = 2\nr7 = 3\n*(u64 *)(r10 - 8) = 5\n";
        let mut program = lower(
            "typical",
            &format!("{start}{}r0 = r2\nexit", TYPICAL.repeat(times)),
        );
        // SAFETY: it stays in its frame.
        unsafe { program.trust() };
        let mut best = f64::MAX;
        for _ in 0..100 {
            let begin = Instant::now();
            program
                .compile(JitOptions::host())
                .expect("executable memory");
            best = best.min(begin.elapsed().as_nanos() as f64);
        }
        let len = program.len();
        println!("compile {len:8} {:6.2} ns per operation", best / len as f64);
    }
}

fn enter_compiled(mut program: Executable, run: &mut Run) {
    // SAFETY: it does nothing.
    unsafe { program.trust() };
    program
        .compile(JitOptions::host())
        .expect("executable memory");
    let mut best = f64::MAX;
    for _ in 0..300 {
        let begin = Instant::now();
        for _ in 0..10_000 {
            run.budget = 1000;
            program.run_compiled(run, 0).expect("it returns");
        }
        best = best.min(begin.elapsed().as_nanos() as f64 / 1e4);
    }
    println!("entry, compiled  {best:6.2} ns");
}
