//! Generated programs: both kernels are asked, disagreements are shrunk to a minimal text.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use panal_kernel::{Engine, PanalKernel};
use panal_uapi::{Errno, kernel::Kernel};
use serde_json::{Value, json};

use crate::{
    ask::{Answer, Judge},
    generate,
    program::Program,
    shrink,
};

/// How long one disagreement is shrunk, at most.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(300);

/// How much is tried, and on which of Panal's engines.
struct Effort {
    engines: Vec<Engine>,
    seconds: u64,
    programs: u64,
    seed: u64,
    show: u64,
    json: Option<String>,
}

/// How two answers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// Panal accepts what Linux rejects.
    FalseAccept,
    /// Both accept, and compute differently.
    Result,
    /// Panal rejects what Linux accepts.
    FalseReject,
    /// One of them gives up after a million instructions, the other does not.
    TooComplex,
    /// Panal could not try what Linux could.
    NotTried,
}

fn difference(linux: &Answer, panal: &Answer, comparable: bool) -> Option<Difference> {
    let gave_up =
        |answer: &Answer| matches!(answer, Answer::Rejected(errno, _) if *errno == Errno::E2BIG);
    match (linux, panal) {
        (Answer::Rejected(..), Answer::Accepted(_))
        | (Answer::Accepted(_), Answer::Rejected(..))
            if gave_up(linux) || gave_up(panal) =>
        {
            Some(Difference::TooComplex)
        }
        (Answer::Rejected(..), Answer::Accepted(_)) => Some(Difference::FalseAccept),
        (Answer::Accepted(_), Answer::Rejected(..)) => Some(Difference::FalseReject),
        (Answer::Accepted(a), Answer::Accepted(b)) if comparable && a != b => {
            Some(Difference::Result)
        }
        (Answer::Accepted(_) | Answer::Rejected(..), Answer::Failed(_)) => {
            Some(Difference::NotTried)
        }
        _ => None,
    }
}

fn parse(args: &[String]) -> Result<Effort, String> {
    let mut effort = Effort {
        engines: vec![Engine::Interpreter, Engine::MachineCode],
        seconds: 60,
        programs: u64::MAX,
        seed: 1,
        show: 5,
        json: None,
    };
    let mut rest = args.iter();
    while let Some(flag) = rest.next() {
        let value = rest.next().ok_or(format!("{flag} wants a value"))?;
        let number = || -> Result<u64, String> {
            value
                .parse()
                .map_err(|_| format!("{flag} wants a number, not {value}"))
        };
        match flag.as_str() {
            "--engine" => {
                effort.engines = match value.as_str() {
                    "interp" => vec![Engine::Interpreter],
                    "jit" => vec![Engine::MachineCode],
                    "both" => vec![Engine::Interpreter, Engine::MachineCode],
                    _ => return Err("--engine wants interp, jit or both".to_owned()),
                };
            }
            "--seconds" => effort.seconds = number()?,
            "--programs" => effort.programs = number()?,
            "--seed" => effort.seed = number()?,
            "--show" => effort.show = number()?,
            "--json" => effort.json = Some(value.clone()),
            other => return Err(format!("no such option: {other}")),
        }
    }
    Ok(effort)
}

/// Runs `panal-parity fuzz`.
pub fn run(args: &[String], linux: &dyn Kernel) -> ExitCode {
    match attempt(args, linux) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("panal-parity: {why}");
            ExitCode::from(2)
        }
    }
}

fn attempt(args: &[String], linux: &dyn Kernel) -> Result<ExitCode, String> {
    let effort = parse(args)?;
    let linux = match Judge::new(linux) {
        Ok(linux) => linux,
        Err(why) => {
            println!("skipped: this Linux cannot be asked: {why}");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let kernels: Vec<PanalKernel> = effort
        .engines
        .iter()
        .map(|engine| PanalKernel::builder().engine(*engine).build())
        .collect::<Result<_, _>>()
        .map_err(|e| format!("Panal: {e}"))?;
    let panals: Vec<Judge<'_>> = kernels
        .iter()
        .map(|kernel| Judge::new(kernel))
        .collect::<Result<_, _>>()
        .map_err(|e| format!("Panal: {e}"))?;
    let run = Comparison {
        linux: &linux,
        panals: panals.iter().zip(&effort.engines).collect(),
        effort: &effort,
        counts: BTreeMap::new(),
        reports: Vec::new(),
        asked: 0,
        accepted: 0,
        compared: 0,
    };
    run.all()
}

struct Comparison<'j, 'k> {
    linux: &'j Judge<'k>,
    panals: Vec<(&'j Judge<'k>, &'j Engine)>,
    effort: &'j Effort,
    counts: BTreeMap<Difference, u64>,
    reports: Vec<Value>,
    asked: u64,
    accepted: u64,
    compared: u64,
}

impl Comparison<'_, '_> {
    fn all(mut self) -> Result<ExitCode, String> {
        let linux = self.linux.name();
        let panal = self.panals.first().map_or(String::new(), |p| p.0.name());
        println!("{panal} {:?} against {linux}", self.effort.engines);
        let start = Instant::now();
        let end = start + Duration::from_secs(self.effort.seconds);
        let mut tell = start + PROGRESS;
        let mut found = Vec::new();
        while self.asked < self.effort.programs && Instant::now() < end {
            let seed = self.effort.seed.wrapping_add(self.asked);
            if let Some(kind) = self.one(&generate::wide(seed)) {
                let count = self.counts.entry(kind).or_default();
                *count += 1;
                println!("{kind:?}, seed {seed}");
                if *count <= self.effort.show {
                    found.push((seed, kind));
                }
            }
            self.asked += 1;
            if Instant::now() >= tell {
                tell += PROGRESS;
                self.summary(start.elapsed());
            }
        }
        let took = start.elapsed();
        self.summary(took);
        for (seed, kind) in found {
            self.report(seed, kind);
        }
        if let Some(path) = &self.effort.json {
            let counts: serde_json::Map<String, Value> = self
                .counts
                .iter()
                .map(|(kind, count)| (format!("{kind:?}"), json!(count)))
                .collect();
            let whole = json!({
                "panal": panal,
                "linux": linux,
                "engines": format!("{:?}", self.effort.engines),
                "first_seed": self.effort.seed,
                "next_seed": self.effort.seed.wrapping_add(self.asked),
                "seconds": took.as_secs_f64(),
                "programs": self.asked,
                "accepted": self.accepted,
                "compared": self.compared,
                "differences": counts,
                "cases": self.reports,
            });
            std::fs::write(path, format!("{whole:#}\n")).map_err(|e| format!("{path}: {e}"))?;
        }
        let bad = [Difference::FalseAccept, Difference::Result];
        let bad = bad.iter().any(|kind| self.counts.contains_key(kind));
        Ok(if bad {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }

    /// Asks everybody; the first difference.
    fn one(&mut self, program: &Program) -> Option<Difference> {
        let theirs = self.linux.ask(program, program.comparable);
        if let Answer::Accepted(outcomes) = &theirs {
            self.accepted += 1;
            self.compared += u64::from(!outcomes.is_empty());
        }
        self.panals.iter().find_map(|(panal, _)| {
            let ours = panal.ask(program, program.comparable);
            difference(&theirs, &ours, program.comparable)
        })
    }

    fn summary(&self, took: Duration) {
        let rate = self.asked as f64 / took.as_secs_f64().max(0.001);
        println!(
            "{} programs in {} s ({rate:.0} a second): Linux accepted {}, results of {} were compared; next seed {}",
            self.asked,
            took.as_secs(),
            self.accepted,
            self.compared,
            self.effort.seed.wrapping_add(self.asked),
        );
        for (kind, count) in &self.counts {
            println!("{count} {kind:?}");
        }
    }

    /// Shrinks and prints one disagreement.
    fn report(&mut self, seed: u64, kind: Difference) {
        let program = generate::wide(seed);
        let differs = |candidate: &Program, panal: &Judge<'_>| {
            let theirs = self.linux.ask(candidate, candidate.comparable);
            let ours = panal.ask(candidate, candidate.comparable);
            difference(&theirs, &ours, candidate.comparable) == Some(kind)
        };
        let of_whom = self.panals.iter().find(|p| differs(&program, p.0));
        let Some((panal, engine)) = of_whom else {
            println!("\n=== {kind:?}, seed {seed}: not seen again");
            self.reports
                .push(json!({"kind": format!("{kind:?}"), "seed": seed, "again": false}));
            return;
        };
        let until = Instant::now() + PATIENCE;
        let small = shrink::shrink(&program, &mut |candidate| {
            Instant::now() < until && differs(candidate, panal)
        });
        println!(
            "\n=== {kind:?}, seed {seed}, {}, {engine:?} ({} parts)",
            small.prog_type,
            small.size()
        );
        print!("{}", small.text());
        let (theirs, ours) = (
            self.linux.ask(&small, small.comparable),
            panal.ask(&small, small.comparable),
        );
        println!("linux: {}", theirs.brief());
        println!("panal: {}", ours.brief());
        if let (Answer::Accepted(theirs), Answer::Accepted(ours)) = (&theirs, &ours) {
            for (packet, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                theirs.print_differences(ours, packet);
            }
        }
        self.reports.push(json!({
            "kind": format!("{kind:?}"),
            "seed": seed,
            "engine": format!("{engine:?}"),
            "type": small.prog_type.to_string(),
            "text": small.text(),
            "linux": theirs.brief(),
            "panal": ours.brief(),
        }));
    }
}
