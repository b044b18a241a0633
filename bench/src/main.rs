//! Benchmarks of Panal. Each prints ratios against another tool or kernel that ran in the same
//! minute on the same machine, because bare times mean nothing on a shared one.
#![forbid(unsafe_code)]

mod cage;
mod command;
mod jit;
mod packets;
mod table;
mod trace;
mod verifier;

use std::process::ExitCode;

/// The command's: what is measured here runs there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A benchmark: its name, what it measures, and the function that prints its table.
type Benchmark = (&'static str, &'static str, fn() -> Result<(), String>);

const ALL: &[Benchmark] = &[
    (
        "jit",
        "engines on many programs, beside Linux's JIT and native code; has arguments of its own",
        || jit::run(&[]),
    ),
    ("cage", "what cage and budget cost machine code", cage::run),
    (
        "verifier",
        "instructions processed a second, against Linux",
        verifier::run,
    ),
    (
        "packets",
        "packets a second through XDP over a pcap",
        packets::run,
    ),
    (
        "trace",
        "cost of a traced system call, against strace",
        trace::run,
    ),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(count) = trace::load_of(&wanted) {
        return count;
    }
    if let Some(measured) = verifier::memory_of(&wanted) {
        return measured;
    }
    if let [name, args @ ..] = &wanted[..]
        && name == "jit"
    {
        return ended(jit::run(args));
    }
    if let Some(unknown) = wanted
        .iter()
        .find(|w| !ALL.iter().any(|(name, ..)| name == w))
    {
        eprintln!("no benchmark is called {unknown}; there are:");
        for (name, what, _) in ALL {
            eprintln!("  {name:10} {what}");
        }
        return ExitCode::from(2);
    }
    let mut failed = false;
    for (name, what, run) in ALL {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            println!("\n## {name}: {what}\n");
            failed |= ended(run()) == ExitCode::FAILURE;
        }
    }
    match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// Says why a benchmark failed.
fn ended(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("failed: {why}");
            ExitCode::FAILURE
        }
    }
}
