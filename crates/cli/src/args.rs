//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 a program was rejected, 2 could not try.";

#[derive(Parser)]
#[command(
    name = "panal",
    version,
    about = "eBPF in user space: verify, run and look into programs, without root"
)]
#[command(after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Makes every stream of the command follow the choice.
    pub fn apply(self) {
        match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Look into an object without loading it
    Dump(Dump),
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  panal completions bash > ~/.local/share/bash-completion/completions/panal\n  panal completions zsh > ~/.zfunc/_panal"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
}

const DUMP_EXAMPLES: &str = "Examples:
  panal dump examples/opensnoop.bpf.o asm
  panal dump examples/firewall.bpf.o cfg --program firewall -o firewall.svg
  panal dump /usr/lib/bpf/xdp_pass.o maps --json";

#[derive(Args)]
#[command(after_help = DUMP_EXAMPLES)]
pub struct Dump {
    /// The object file
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,
    /// What to print
    #[arg(value_enum)]
    pub what: What,
    /// Only this program, with the functions that it calls
    #[arg(long, value_name = "NAME")]
    pub program: Option<String>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Instructions with their source lines
    Asm,
    /// The control flow, as an SVG picture
    Cfg,
    /// The maps with their attributes
    Maps,
    /// What instructions refer to, and which of them depend on the kernel's types
    Relocations,
}
