//! The `panal` command.
#![forbid(unsafe_code)]

fn main() {}
