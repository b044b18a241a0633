//! The `panal` command: verify, run, test-run and look into eBPF objects.
#![forbid(unsafe_code)]

mod args;
mod dump;
mod error;
mod events;
mod excerpt;
mod feature;
mod feed;
mod fields;
mod files;
mod in_order;
mod inspect;
mod instance;
mod kernels;
mod load;
mod map_args;
mod object;
mod output;
mod place_args;
mod profile;
mod prog_run;
mod progress;
mod rejection_json;
mod render;
mod run;
mod sample;
mod sarif;
mod summary;
mod target;
mod text;
mod types;
mod verdict;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use error::Problem;

/// Everything was done, and no program was rejected.
const DONE: u8 = 0;
/// A program was rejected.
const REJECTED: u8 = 1;
/// It could not even be tried: wrong arguments, an unreadable object, a lack of rights.
const COULD_NOT_TRY: u8 = 2;

/// States of the search come and go by the thousand: the verifier is a tenth faster with it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse_from(args::in_order(std::env::args_os()));
    cli.color.apply();
    let json = cli.command.json();
    let result = match cli.command {
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Prog { command } => inspect::prog(&command),
        Command::Map { command } => inspect::map(&command),
        Command::Link { command } => inspect::link(&command),
        Command::Btf { command } => inspect::btf(&command),
        Command::Serve(arguments) => instance::serve(&arguments),
        Command::Dump(arguments) => dump::run(&arguments),
        Command::Feature(arguments) => feature::run(&arguments),
        Command::Profile { command } => profile::run(&command),
        Command::Completions { shell } => completions(shell),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        // Whoever read our output has had enough.
        Err(Problem::OutputClosed) => ExitCode::from(DONE),
        Err(Problem::Reported(code)) => ExitCode::from(code),
        Err(problem) => {
            // The one form of errors in JSON; standard output may be what cannot be written.
            let told = match json {
                true => problem.print_json().is_ok(),
                false => false,
            };
            if !told {
                output::error(&problem);
            }
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
