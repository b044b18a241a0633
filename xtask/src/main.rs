//! The project's own chores, as `cargo xtask NAME`.
#![forbid(unsafe_code)]

mod aarch64;
mod bench;
mod check;
mod examples;
mod gallery;
mod parity;
mod run;
mod test;
mod tools;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask COMMAND

Commands:
  test      install or name what the tests need, then run every test
  check     what CI checks besides: format, clippy, documentation, no_std builds
  aarch64   run the vm's tests as programs for aarch64, on an emulated CPU
  examples  make the objects of examples and benchmarks anew; --check: compare with the committed ones
  gallery   write the explanations of the gallery and docs/gallery.md anew
  bench     build and run the benchmarks: ratios against other tools, in one run
  bench jit [PROGRAM...] [micro] [compile] [--engines L] [--rounds N] [--loads N] [--json FILE]
            engines on many programs, beside Linux's JIT, native code and other runtimes; without
            names everything, and docs/performance.md is written
  parity    ask Linux and Panal about the verifier selftests, write docs/parity.md
  objects   ask Linux and Panal about the programs of real tools, write docs/objects.md
  fuzz-parity [--seconds N] [--programs N] [--seed S] [--show N] [--jobs N]
              [--engine NAME|all] [--json FILE] [--again FILE] [--logs DIR]
            ask Linux and Panal about generated programs, compare what they compute
  tools     show which outside tools are here, install what is missing

Options of `test`, `aarch64` and `tools`:
  --no-install   only name what is missing
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let done = match args.first().map(String::as_str) {
        Some("test") => test::run(rest),
        Some("check") => check::run(rest),
        Some("aarch64") => aarch64::run(rest),
        Some("examples") => examples::run(rest),
        Some("gallery") => gallery::run(rest),
        Some("bench") => bench::run(rest),
        Some("parity") => parity::selftests(rest),
        Some("objects") => parity::objects(rest),
        Some("fuzz-parity") => parity::fuzz(rest),
        Some("tools") => tools::run(rest),
        Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => Err(format!("no such command: {other}\n\n{HELP}")),
        None => Err(HELP.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
