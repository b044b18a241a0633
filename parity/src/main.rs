//! Asks Linux and Panal about the same programs.
//!
//! `panal-parity fuzz [--engine interp|jit] [--seconds N] [--programs N] [--seed S] [--show N]`
//! generates programs: verdict, return value, packet and maps must agree, whichever engine runs
//! Panal's. A disagreement is shrunk to a minimal text case.
//! `panal-parity selftests` compiles the Linux selftests' `verifier_*.c` and writes up agreement.
//! `panal-parity objects FILE...` asks about every program of compiled objects.
//!
//! Needs bpf(2) with the right to load programs; without, says "skipped: why".
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
    kernel::Kernel,
    profile::{Limits, Profile},
};

const USAGE: &str = "usage: panal-parity fuzz [--engine interp|jit] [--seconds N] [--programs N]
                         [--seed S] [--show N]
       panal-parity objects FILE...
       panal-parity selftests [--out FILE] [NAME...]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let linux = LinuxKernel::new();
    let done = match args.split_first() {
        Some((command, rest)) if command == "fuzz" => Ok(fuzz::run(rest, &linux)),
        Some((command, rest)) if command == "objects" => {
            verifying_as(&linux, true).map(|panal| objects::run(rest, &linux, &panal))
        }
        Some((command, rest)) if command == "selftests" => {
            verifying_as(&linux, true).and_then(|judge| {
                let runner = verifying_as(&linux, false)?;
                let kernels = selftests::Kernels {
                    linux: &linux,
                    judge: &judge,
                    runner: &runner,
                };
                Ok(selftests::run(rest, &kernels))
            })
        }
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

/// Panal's kernel with the types of the running Linux.
fn verifying_as(
    linux: &LinuxKernel,
    only: bool,
) -> Result<PanalKernel, panal_uapi::kernel::Failure> {
    let profile = Profile {
        name: linux.name(),
        version: linux.version(),
        btf: linux.btf()?,
        limits: Limits::LINUX,
        privileged: true,
    };
    PanalKernel::builder()
        .profile(profile)
        .verify_only(only)
        .build()
}
