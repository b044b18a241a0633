//! The `panal` command: verify, run, test-run and look into eBPF objects.
#![forbid(unsafe_code)]

mod args;
mod dump;
mod error;
mod object;
mod output;
mod types;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use error::Problem;

/// Everything was done, and no program was rejected.
const DONE: u8 = 0;
/// It could not even be tried: wrong arguments, an unreadable object, a lack of rights.
const COULD_NOT_TRY: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.color.apply();
    let result = match cli.command {
        Command::Dump(arguments) => dump::run(&arguments),
        Command::Completions { shell } => completions(shell),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        // Whoever read our output has had enough.
        Err(Problem::OutputClosed) => ExitCode::from(DONE),
        Err(problem) => {
            output::error(&problem);
            ExitCode::from(COULD_NOT_TRY)
        }
    }
}

fn completions(shell: clap_complete::Shell) -> Result<u8, Problem> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "panal", &mut script);
    output::write_bytes(&script)?;
    Ok(DONE)
}
