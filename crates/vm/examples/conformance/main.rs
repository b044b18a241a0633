//! A plugin of the public bpf_conformance suite, for any of Panal's engines:
//!
//! ```text
//! cargo build --release -p panal-vm --example conformance
//! bpf_conformance_runner --test_file_directory tests \
//!     --plugin_path target/release/examples/conformance --plugin_options "--engine cage"
//! ```
//!
//! The first argument is the initial memory in hex, standard input the program in hex; the value
//! of `r0` goes to standard output in hex. Exit code 1 and a reason on standard error: the program
//! was refused, or stopped.

mod plugin;

use std::{io::Read, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut program = String::new();
    let read = std::io::stdin().read_to_string(&mut program);
    let result = read
        .map_err(|e| format!("standard input: {e}"))
        .and_then(|_| plugin::run(&arguments, &program));
    match result {
        Ok(value) => {
            println!("{value:x}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
