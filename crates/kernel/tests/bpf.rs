//! Text cases about maps, helpers and test runs (`tests/cases`), on Panal's kernel and, where it lets
//! us, on Linux: both must give the same.

use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    panal_testkit::cases::main(&cases)
}
