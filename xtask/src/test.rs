//! `cargo xtask test`: everything, with the tools it needs.

use crate::{
    run::{Done, cargo, run as execute},
    tools,
};

/// Installs or names what is missing, then runs the whole workspace's tests.
pub fn run(args: &[String]) -> Done {
    let install = !args.iter().any(|a| a == "--no-install");
    tools::provide(install)?;
    // The command is tested as its users run it: built once, with optimisation.
    execute(cargo().args(["build", "--release", "--package", "panal-cli"]))?;
    execute(cargo().args(["test", "--workspace", "--no-fail-fast"]))
}
