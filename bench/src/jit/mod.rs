//! `cargo xtask bench jit`: the engines on the same programs, beside Linux's JIT and native code, in one
//! process and in turn.

mod bar;
mod compiler;
mod engines;
mod kernels;
mod measure;
mod native;
mod peers;
mod process;
mod programs;
mod results;

use std::{fs, path::PathBuf};

use measure::{Effort, measure};
use programs::{EMPTY, PROGRAMS, Program};
use results::{Results, Row};

const USAGE: &str =
    "usage: cargo xtask bench jit [PROGRAM...] [--rounds N] [--loads N] [--json FILE]";

/// What is asked for.
struct Asked {
    programs: Vec<&'static Program>,
    effort: Effort,
    json: Option<PathBuf>,
}

fn asked(args: &[String]) -> Result<Asked, String> {
    let mut asked = Asked {
        programs: Vec::new(),
        effort: Effort {
            loads: 5,
            rounds: 40,
        },
        json: None,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || {
            let given = args.next().and_then(|n| n.parse().ok());
            given
                .filter(|n| *n > 0)
                .ok_or(format!("{arg} takes a number\n{USAGE}"))
        };
        match arg.as_str() {
            "--rounds" => asked.effort.rounds = number()?,
            "--loads" => asked.effort.loads = number()?,
            "--json" => asked.json = Some(args.next().ok_or(USAGE)?.into()),
            name => {
                let found = PROGRAMS.iter().find(|p| p.name == name);
                asked.programs.push(found.ok_or_else(|| unknown(name))?);
            }
        }
    }
    if asked.programs.is_empty() {
        asked.programs = PROGRAMS.iter().collect();
    }
    Ok(asked)
}

fn unknown(name: &str) -> String {
    let names: Vec<_> = PROGRAMS.iter().map(|p| p.name).collect();
    format!(
        "no program is called {name}; there are: {}\n{USAGE}",
        names.join(" ")
    )
}

/// Measures and prints.
pub fn run(args: &[String]) -> Result<(), String> {
    let asked = asked(args)?;
    let empty: Result<Vec<_>, _> = EMPTY.iter().map(|p| measure(p, asked.effort)).collect();
    let mut results = Results::new(empty?);
    let mut failed = Vec::new();
    for program in asked.programs {
        eprint!("\r\x1b[K{}", program.name);
        match measure(program, asked.effort) {
            Ok(cells) => results.rows.push(Row { program, cells }),
            Err(why) => failed.push(why),
        }
    }
    eprint!("\r\x1b[K");
    results.print();
    bar::print(&results);
    if let Some(path) = &asked.json {
        fs::write(path, format!("{:#}\n", results.json()))
            .map_err(|e| format!("{}: {e}", path.display()))?;
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(failed.join("\n")),
    }
}
