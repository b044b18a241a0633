//! Code that would be too large is given up; numbers that end slow chains are branched to.

extern crate std;

use alloc::{string::String, vec::Vec};

use panal_isa::assemble::assemble;

use super::{JitError, Options, aarch64};
use crate::{Executable, Linkage};

struct Nothing;

impl Linkage for Nothing {}

/// Loops, calls and straight code: all kinds of branches.
fn program() -> Executable {
    let mut text = String::from("r0 = 0\nr6 = 9\nagain:\ncall f\n");
    text.push_str(&"r0 ^= 3\n".repeat(1000));
    text.push_str("r6 -= 1\nif r6 != 0 goto again\nexit\nf:\nr0 += 1\nexit");
    let slots = assemble(&text, &mut ()).unwrap().slots;
    // SAFETY: it is not run.
    let mut executable = unsafe { Executable::from_unproven("test", &slots, &Nothing) }.unwrap();
    // SAFETY: as above.
    unsafe { executable.trust() };
    executable
}

/// What a compiler with a limit makes of it: the first round's code is larger than what is left.
fn check(compile: impl Fn(usize) -> Result<Vec<u8>, JitError>) {
    let unlimited = compile(1 << 30).unwrap();
    assert!(unlimited.len() > 3000);
    let room = 2 * unlimited.len();
    assert_eq!(compile(room), Ok(unlimited.clone()));
    for most in [0, 1, 100, unlimited.len() / 2, unlimited.len() - 1] {
        assert_eq!(compile(most), Err(JitError::TooLarge), "{most}");
    }
}

fn options() -> Options {
    Options {
        bmi2: false,
        optimise: false,
        budget: true,
        steps: 0,
        cage: None,
        chance: 0,
    }
}

#[test]
fn aarch64_code_stays_in_reach_of_its_branches() {
    let gates = aarch64::Gates::here();
    let program = program();
    check(|most| aarch64::compile_within(most, &program, options(), &gates));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn x86_64_code_stays_in_reach_of_its_jumps() {
    let program = program();
    check(|most| super::x86_64::compile_within(most, &program, options()));
}

/// Whether a loop has a conditional move for the number that a round may end with.
#[cfg(target_arch = "x86_64")]
fn has_conditional_move(body: &str) -> bool {
    let text = std::format!(
        "r6 = 100\nr7 = r1\nr0 = 0\nagain:\nr3 = r6\nr3 &= 7\n{body}\n\
         if r3 != 0 goto on\nr0 = 9\non:\nr6 += -1\nif r6 != 0 goto again\nexit"
    );
    let slots = assemble(&text, &mut ()).unwrap().slots;
    // SAFETY: it is not run.
    let mut executable = unsafe { Executable::from_unproven("test", &slots, &Nothing) }.unwrap();
    // SAFETY: as above.
    unsafe { executable.trust() };
    let code = super::x86_64::compile(&executable, options()).unwrap();
    // cmove r64, r9: REX.WB, 0F 44, ModRM with rax and r9.
    code.windows(4)
        .any(|bytes| bytes == [0x49, 0x0f, 0x44, 0xc1])
}

#[cfg(target_arch = "x86_64")]
#[test]
fn numbers_are_moved_conditionally_but_onto_slow_chains() {
    for (body, moved) in [
        ("r0 += 1", true),
        ("r0 = r3\nr0 *= 10", true),
        ("r0 *= 10\nr0 += r3", false),
        // By way of another register, and through memory.
        ("r4 = r0\nr4 *= 10\nr0 = r4", false),
        ("r0 += r7\nr0 = *(u64 *)(r0 + 0)", false),
        ("r0 /= r6", false),
    ] {
        assert_eq!(has_conditional_move(body), moved, "{body}");
    }
}

/// What machine code there is for a program's own operations, in bytes: everything but the ways in and
/// out, which a program has that only returns.
#[cfg(target_arch = "x86_64")]
fn written(text: &str) -> usize {
    let code = |text: &str| {
        let slots = assemble(text, &mut ()).unwrap().slots;
        // SAFETY: it is not run.
        let mut executable =
            unsafe { Executable::from_unproven("test", &slots, &Nothing) }.unwrap();
        // SAFETY: as above.
        unsafe { executable.trust() };
        let options = Options {
            budget: false,
            ..options()
        };
        super::x86_64::compile(&executable, options).unwrap().len()
    };
    code(text) - code("exit")
}

#[cfg(target_arch = "x86_64")]
#[test]
fn what_nobody_reads_is_not_written() {
    for (text, is_dead) in [
        ("r1 = 7\nexit", true),
        // Read only by what is not read.
        ("r2 = r1\nr2 *= 3\nr3 = r2\nr3 ^= r2\nr3 *= 5\nexit", true),
        ("r2 = *(u64 *)(r1 + 0)\nr2 *= 3\nexit", true),
        ("r2 = *(u64 *)(r10 - 8)\nr2 = 1\nexit", true),
        ("r0 = r1\nexit", false),
        ("*(u64 *)(r1 + 0) = 3\nexit", false),
        ("if r1 != 0 goto on\nr0 = 1\non:\nexit", false),
        // A jump leads to what is dead.
        ("if r1 != 0 goto on\nr0 = 1\non:\nr1 = 7\nexit", false),
    ] {
        assert_eq!(written(text) == 0, is_dead, "{text}");
    }
    let on = "if r1 != 0 goto on\nr0 = 1\non:\n";
    assert_eq!(
        written(&std::format!("{on}r1 = 7\nr2 = 3\nexit")),
        written(&std::format!("{on}exit")),
    );
}
