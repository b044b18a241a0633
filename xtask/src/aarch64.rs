//! `cargo xtask aarch64`: the vm's tests as programs for aarch64, on an emulated CPU: what runs
//! machine code there, not only what makes it.

use std::{ffi::OsString, path::PathBuf, process::Command};

use crate::{
    run::{Done, cargo, run as execute},
    tools,
};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
/// A CPU of the first version: what the templates assume and no more.
const RUNNER: &str = "qemu-aarch64 -cpu cortex-a53 -L /usr/aarch64-linux-gnu";
/// Tests that ask no other kernel and no other tool.
const TESTS: [&str; 4] = ["isa", "run", "random", "conformance"];

/// Runs the tests; skipped, and said so, where the target's standard library is missing.
pub fn run(args: &[String]) -> Done {
    tools::provide(!args.iter().any(|a| a == "--no-install"))?;
    if !has_std() {
        println!(
            "skipped: Rust has no standard library for {TARGET} here (rustup target add {TARGET})"
        );
        return Ok(());
    }
    let mut command = cargo();
    let key = TARGET.to_uppercase().replace('-', "_");
    command
        .env(format!("CARGO_TARGET_{key}_LINKER"), LINKER)
        .env(format!("CARGO_TARGET_{key}_RUNNER"), RUNNER)
        .args(["test", "--target", TARGET, "--package", "panal-vm"]);
    for test in TESTS {
        command.args(["--test", test]);
    }
    execute(&mut command)
}

/// Whether the compiler that cargo uses has what programs for the target are linked with.
fn has_std() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let Ok(output) = output else { return false };
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end());
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}
