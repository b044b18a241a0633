//! Asks Linux and Panal about the same programs.
//!
//! `panal-parity fuzz [--engine NAME|all] [--seconds N] [--programs N] [--seed S] [--show N]
//! [--jobs N] [--json FILE]` generates programs: verdict, return value, packet and maps must agree,
//! whichever engine runs Panal's: of all of them (interpreter, machine code, caged, for any CPU) two take
//! their turn with each program. Disagreements are shrunk to minimal texts at the end; the seed that
//! is told goes on where a run ended. Exit code 1 after a false accept or another result. `--logs DIR`
//! keeps both verifiers' logs of what is shown. `--again FILE`
//! asks again about what a run's JSON lists; `panal-parity write-up FILE docs/parity.md` records it.
//! `panal-parity mutate [--seconds N] [--seed S] [--show N] FILE...` asks about the same programs with
//! an instruction or two changed.
//! `panal-parity selftests [--live|--recorded|--unprivileged] [--out FILE] [NAME...]` compiles the Linux selftests'
//! `verifier_*.c` and writes up agreement with the running kernel, and with Linux 6.12 as it
//! answered once, to loaders with every capability and without any.
//! `panal-parity objects FILE...` asks about every program of compiled objects.
//! `panal-parity tools [--out FILE]` asks about every program of tools that distributions ship.
//!
//! Asking Linux needs bpf(2) with the right to load programs; without, "skipped: why" is said.
#![forbid(unsafe_code)]

mod ask;
mod fuzz;
mod mutate;
mod objects;
mod selftests;
mod shrink;
mod tools;

use std::process::ExitCode;

use panal_kernel::PanalKernel;
use panal_linux::LinuxKernel;
use panal_parity::{function, generate, program};
use panal_uapi::{
    Capabilities,
    kernel::{Failure, Kernel},
    profile::Profile,
};

const USAGE: &str = "usage: panal-parity fuzz [--engine NAME|all] [--seconds N] [--programs N]
                         [--seed S] [--show N] [--jobs N] [--json FILE] [--again FILE]
                         [--logs DIR]
       panal-parity write-up RUN.json PAGE
       panal-parity objects FILE...
       panal-parity tools [--out FILE]
       panal-parity mutate [--seconds N] [--seed S] [--show N] FILE...
       panal-parity selftests [--live|--recorded|--unprivileged] [--out FILE] [NAME...]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let linux = LinuxKernel::new();
    let done = match args.split_first() {
        Some((command, rest)) if command == "fuzz" => Ok(fuzz::run(rest, &linux)),
        Some((command, rest)) if command == "write-up" => Ok(fuzz::page::run(rest)),
        Some((command, rest)) if command == "objects" => {
            verifying_as(&linux).map(|panal| objects::run(rest, &linux, &panal))
        }
        Some((command, rest)) if command == "tools" => {
            verifying_as(&linux).map(|panal| tools::run(rest, &linux, &panal))
        }
        Some((command, rest)) if command == "mutate" => {
            verifying_as(&linux).map(|panal| mutate::run(rest, &linux, &panal))
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

/// The capabilities of this process, which Linux goes by.
fn own_capabilities() -> Capabilities {
    const NUMBERS: [(u32, Capabilities); 4] = [
        (12, Capabilities::NET_ADMIN),
        (21, Capabilities::all()),
        (38, Capabilities::PERFMON),
        (39, Capabilities::BPF),
    ];
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    let held = NUMBERS
        .into_iter()
        .filter(|(number, _)| bits.unwrap_or(0) >> number & 1 == 1);
    held.map(|(_, capability)| capability).collect()
}

/// Panal's verifier with the types of the running Linux, for a loader like this process.
fn verifying_as(linux: &LinuxKernel) -> Result<PanalKernel, Failure> {
    PanalKernel::builder()
        .profile(Profile {
            capabilities: own_capabilities(),
            ..Profile::new(linux.name(), linux.version(), linux.btf()?).with_cpus(linux.cpus())
        })
        .verify_only(true)
        .build()
}
