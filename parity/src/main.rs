//! Asks Linux and Panal about the same programs.
//!
//! `panal-parity fuzz [--engine interp|jit] [--seconds N] [--programs N] [--seed S] [--show N]`
//! generates programs: verdict, return value, packet and maps must agree, whichever engine runs
//! Panal's. A disagreement is shrunk to a minimal text case.
//! `panal-parity selftests [--live|--recorded] [--out FILE] [NAME...]` compiles the Linux selftests'
//! `verifier_*.c` and writes up agreement with the running kernel, and with Linux 6.12 as it
//! answered once.
//! `panal-parity objects FILE...` asks about every program of compiled objects.
//!
//! Asking Linux needs bpf(2) with the right to load programs; without, "skipped: why" is said.
#![forbid(unsafe_code)]

mod ask;
mod fuzz;
mod objects;
mod selftests;
mod shrink;

use std::process::ExitCode;

use panal_kernel::PanalKernel;
use panal_linux::LinuxKernel;
use panal_parity::{generate, program};
use panal_uapi::{
    kernel::{Failure, Kernel},
    profile::Profile,
};

const USAGE: &str = "usage: panal-parity fuzz [--engine interp|jit] [--seconds N] [--programs N]
                         [--seed S] [--show N]
       panal-parity objects FILE...
       panal-parity selftests [--live|--recorded] [--out FILE] [NAME...]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let linux = LinuxKernel::new();
    let done = match args.split_first() {
        Some((command, rest)) if command == "fuzz" => Ok(fuzz::run(rest, &linux)),
        Some((command, rest)) if command == "objects" => {
            verifying_as(&linux).map(|panal| objects::run(rest, &linux, &panal))
        }
        Some((command, rest)) if command == "selftests" => Ok(selftests::run(rest, &linux)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    done.unwrap_or_else(|why| {
        eprintln!("panal-parity: {why}");
        ExitCode::from(2)
    })
}

/// Panal's verifier with the types of the running Linux.
fn verifying_as(linux: &LinuxKernel) -> Result<PanalKernel, Failure> {
    PanalKernel::builder()
        .profile(Profile::new(linux.name(), linux.version(), linux.btf()?))
        .verify_only(true)
        .build()
}
