//! `cargo xtask bench jit`: the engines on the same programs, beside Linux's JIT and native code, in one
//! process and in turn.

mod bar;
mod compile;
mod compiler;
mod document;
pub mod engines;
mod generate;
pub mod kernels;
mod machine;
mod measure;
mod micro;
mod native;
mod peers;
mod plot;
mod process;
pub mod programs;
mod results;

use std::{fs, path::PathBuf};

use compile::Compilers;
use engines::ENGINES;
use measure::{Effort, measure};
use micro::Micro;
use programs::{EMPTY, PROGRAMS, Program};
use results::{Results, Row};

const USAGE: &str = "\
usage: cargo xtask bench jit [PROGRAM...] [micro] [compile] [--engines NAME,...] [--rounds N] [--loads N] [--json FILE]

Without names everything is measured, and docs/performance.md and its plot are written.
  PROGRAM      only these programs
  micro        single operations: calls, lookups, ring buffers
  compile      the compilers
  --engines L  only these engines, by the names of the table, between commas
  --rounds N   rounds for each load (40): every engine once, in turn
  --loads N    how often each program is loaded anew (5)
  --json FILE  writes all figures for machines";

/// What is asked for.
struct Asked {
    programs: Vec<&'static Program>,
    micro: bool,
    compile: bool,
    effort: Effort,
    json: Option<PathBuf>,
}

impl Asked {
    fn is_everything(&self) -> bool {
        let all = self.programs.len() == PROGRAMS.len() && self.effort.engines == u32::MAX;
        all && self.micro && self.compile
    }
}

fn asked(args: &[String]) -> Result<Asked, String> {
    let mut asked = Asked {
        programs: Vec::new(),
        micro: false,
        compile: false,
        effort: Effort {
            loads: 5,
            rounds: 40,
            engines: u32::MAX,
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
            "micro" => asked.micro = true,
            "compile" => asked.compile = true,
            "--engines" => asked.effort.engines = engines(args.next().ok_or(USAGE)?)?,
            "--json" => asked.json = Some(args.next().ok_or(USAGE)?.into()),
            name => {
                let found = PROGRAMS.iter().find(|p| p.name == name);
                asked.programs.push(found.ok_or_else(|| unknown(name))?);
            }
        }
    }
    if asked.programs.is_empty() && !asked.micro && !asked.compile {
        asked.programs = PROGRAMS.iter().collect();
        (asked.micro, asked.compile) = (true, true);
    }
    Ok(asked)
}

/// Names of engines between commas, as a bit for each.
fn engines(names: &str) -> Result<u32, String> {
    names.split(',').try_fold(0, |bits, name| {
        let at = ENGINES.iter().position(|e| e.name == name);
        let at = at.ok_or_else(|| {
            let all: Vec<_> = ENGINES.iter().map(|e| e.name).collect();
            format!("no engine is called {name}; there are: {}", all.join(" "))
        })?;
        Ok(bits | 1 << at)
    })
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
    let effort = asked.effort;
    let micro = asked.micro.then(Micro::programs).into_iter().flatten();
    let all: Vec<&Program> = EMPTY
        .iter()
        .chain(asked.programs.iter().copied())
        .chain(micro)
        .collect();
    let mut measured = measure(&all, effort).into_iter();
    let empty: Result<Vec<_>, _> = measured.by_ref().take(EMPTY.len()).collect();
    let mut results = Results::new(empty?);
    let mut failed = Vec::new();
    for (&program, cells) in asked.programs.iter().zip(measured.by_ref()) {
        match cells {
            Ok(cells) => results.rows.push(Row { program, cells }),
            Err(why) => failed.push(why),
        }
    }
    let micro: Result<Vec<_>, _> = measured.collect();
    results.micro = Micro::of(&micro?, &results.empty[0]);
    if asked.compile {
        results.compilers = Compilers::measure(effort.rounds)?;
    }
    results.print();
    bar::print(&results);
    if let Some(path) = &asked.json {
        fs::write(path, format!("{:#}\n", results.json()))
            .map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if !failed.is_empty() {
        return Err(failed.join("\n"));
    }
    match asked.is_everything() {
        true => document::write(&results, effort),
        false => Ok(()),
    }
}
