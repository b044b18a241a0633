//! `cargo xtask bench`: builds the command and the benchmarks with optimisation and runs them.

use crate::{
    run::{Done, cargo, run as execute},
    tools,
};

/// Runs the benchmarks named, or all.
pub fn run(args: &[String]) -> Done {
    tools::provide(false)?;
    // The others start the command.
    if args.first().is_none_or(|a| a != "jit") {
        execute(cargo().args(["build", "--release", "--package", "panal-cli"]))?;
    }
    // With the other runtimes, which are a program of their own.
    execute(cargo().args(["build", "--release", "--package", "panal-bench"]))?;
    execute(
        cargo()
            .args(["run", "--release", "--package", "panal-bench", "--"])
            .args(args),
    )
}
