//! `cargo xtask check`: what CI holds besides the tests.

use crate::run::{Done, cargo, root, run as execute};

/// Format, lints, documentation, and that the no_std crates need no std.
pub fn run(_args: &[String]) -> Done {
    execute(cargo().args(["fmt", "--all", "--", "--check"]))?;
    execute(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    execute(
        cargo()
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    no_std()
}

/// Links the no_std crates into a binary that has its own panic handler: a dependency on std
/// anywhere below would define a second one, which does not compile. Needs no other target.
fn no_std() -> Done {
    let manifest = root().join("xtask/no_std/Cargo.toml");
    let target = root().join("target/no_std");
    execute(
        cargo()
            .args(["build", "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(target),
    )
}
