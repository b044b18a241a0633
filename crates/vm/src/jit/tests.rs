//! Code that would be too large is given up.

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
