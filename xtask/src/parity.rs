//! `cargo xtask parity`, `objects` and `fuzz-parity`: agreement with the running Linux kernel.

use crate::{
    run::{Done, cargo, root, run as execute},
    tools,
};

fn ask(command: &str, args: &[String]) -> Done {
    execute(
        cargo()
            .args([
                "run",
                "--release",
                "--package",
                "panal-parity",
                "--",
                command,
            ])
            .args(args),
    )
}

/// Asks both kernels about the verifier selftests and writes docs/parity.md.
pub fn selftests(args: &[String]) -> Done {
    tools::provide_selftests()?;
    let page = root().join("docs/parity.md").to_string_lossy().into_owned();
    let out = ["--out".to_owned(), page];
    ask("selftests", &[&out, args].concat())
}

/// Asks both kernels about the programs of real tools and writes docs/objects.md.
pub fn objects(args: &[String]) -> Done {
    tools::provide(true)?;
    let page = root()
        .join("docs/objects.md")
        .to_string_lossy()
        .into_owned();
    let out = ["--out".to_owned(), page];
    ask("tools", &[&out, args].concat())
}

/// Asks both kernels about generated programs.
pub fn fuzz(args: &[String]) -> Done {
    ask("fuzz", args)
}
