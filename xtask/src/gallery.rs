//! The gallery of typical mistakes: its texts and `docs/gallery.md`, from its programs.

use crate::run::{Done, cargo, run as execute};

/// `cargo xtask gallery`
pub fn run(args: &[String]) -> Done {
    if !args.is_empty() {
        return Err("usage: cargo xtask gallery".to_owned());
    }
    let mut command = cargo();
    command
        .args(["test", "--package", "panal-cli", "--test", "gallery"])
        .args([
            "--",
            "--exact",
            "explanations_are_as_recorded",
            "--nocapture",
        ])
        .env("PANAL_GALLERY", "write");
    execute(&mut command)
}
