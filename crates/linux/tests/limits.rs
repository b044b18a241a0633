//! Programs and logs as large as Linux takes them.
#![cfg(target_os = "linux")]

mod common;

use common::linux;
use panal_isa::{AluOp, Code, Instruction, Operand, Reg, Width};
use panal_uapi::{
    Errno, ProgType,
    kernel::{Kernel, LoadError, Loaded, ProgSpec},
};

const MOST: usize = 1_000_000;

/// Numbers into a register, then `return 0`.
fn program(instructions: usize, log_level: u32) -> ProgSpec {
    // Not on the stack: Linux remembers every such access, and has no memory for a million.
    let add = |number: usize| Instruction::Alu {
        width: Width::W64,
        op: AluOp::Mov,
        dst: Reg::R0,
        src: Operand::Imm(number as i32),
    };
    let zero = Instruction::LoadImm64 {
        dst: Reg::R0,
        imm: panal_isa::Imm64::Value(0),
    };
    let body = (0..instructions - 3).map(add);
    let code = Code::from_instructions(body.chain([zero, Instruction::Exit]));
    ProgSpec {
        log_level,
        ..ProgSpec::new("long", ProgType::SocketFilter, code.slots().to_vec())
    }
}

#[test]
fn the_log_of_a_million_instructions_is_read_whole() {
    let Some(kernel) = linux() else { return };
    let Loaded { log, stats, .. } = kernel.prog_load(&program(MOST, 2)).expect("accepted");
    println!("{} bytes of log", log.len());
    assert!(log.len() > 80_000_000, "{}", log.len());
    assert!(
        log.trim_end()
            .lines()
            .next_back()
            .is_some_and(|l| l.starts_with("processed "))
    );
    // The load of 64 bits counts once.
    assert_eq!(stats.expect("told").processed, MOST as u64 - 1);
}

#[test]
fn a_program_that_is_too_long_is_told_so() {
    let Some(kernel) = linux() else { return };
    let error = kernel.prog_load(&program(MOST + 1, 0)).map(drop);
    let Err(LoadError::Rejected {
        errno,
        rejection: Some(rejection),
        ..
    }) = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(errno, Errno::E2BIG);
    assert!(rejection.message.contains("1000001 instructions"));
}
