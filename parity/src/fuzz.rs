//! Generated programs: both kernels are asked, disagreements are shrunk to a minimal text.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use panal_kernel::{Engine, PanalKernel};
use panal_uapi::kernel::Kernel;

use crate::{
    ask::{Answer, Judge},
    generate,
    program::Program,
    shrink,
};

/// How much is tried, and on which of Panal's engines.
struct Effort {
    engine: Engine,
    seconds: u64,
    programs: u64,
    seed: u64,
    show: usize,
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
    /// Panal could not try what Linux could.
    NotTried,
}

fn difference(linux: &Answer, panal: &Answer, comparable: bool) -> Option<Difference> {
    match (linux, panal) {
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
        engine: Engine::Interpreter,
        seconds: 60,
        programs: u64::MAX,
        seed: 1,
        show: 5,
    };
    let mut rest = args.iter();
    while let Some(flag) = rest.next() {
        if flag == "--engine" {
            effort.engine = match rest.next().map(String::as_str) {
                Some("interp") => Engine::Interpreter,
                Some("jit") => Engine::MachineCode,
                _ => return Err("--engine wants interp or jit".to_owned()),
            };
            continue;
        }
        let mut number = || -> Result<u64, String> {
            let value = rest.next().ok_or(format!("{flag} wants a number"))?;
            value
                .parse()
                .map_err(|_| format!("{flag} wants a number, not {value}"))
        };
        match flag.as_str() {
            "--seconds" => effort.seconds = number()?,
            "--programs" => effort.programs = number()?,
            "--seed" => effort.seed = number()?,
            "--show" => effort.show = number()? as usize,
            other => return Err(format!("no such option: {other}")),
        }
    }
    Ok(effort)
}

/// Runs `panal-parity fuzz`.
pub fn run(args: &[String], linux: &dyn Kernel) -> ExitCode {
    let effort = match parse(args) {
        Ok(effort) => effort,
        Err(why) => {
            eprintln!("panal-parity: {why}");
            return ExitCode::from(2);
        }
    };
    let panal = match PanalKernel::builder().engine(effort.engine).build() {
        Ok(panal) => panal,
        Err(why) => {
            eprintln!("panal-parity: Panal: {why}");
            return ExitCode::from(2);
        }
    };
    match (Judge::new(linux), Judge::new(&panal)) {
        (Ok(linux), Ok(panal)) => compare(&linux, &panal, &effort),
        (Err(why), _) => {
            println!("skipped: this Linux cannot be asked: {why}");
            ExitCode::SUCCESS
        }
        (_, Err(why)) => {
            eprintln!("panal-parity: Panal: {why}");
            ExitCode::from(2)
        }
    }
}

fn compare(linux: &Judge<'_>, panal: &Judge<'_>, effort: &Effort) -> ExitCode {
    println!("{} against {}", panal.name(), linux.name());
    let end = Instant::now() + Duration::from_secs(effort.seconds);
    let mut counts: BTreeMap<Difference, u64> = BTreeMap::new();
    let (mut asked, mut accepted, mut compared) = (0u64, 0u64, 0u64);
    while asked < effort.programs && Instant::now() < end {
        let program = generate::wide(effort.seed.wrapping_add(asked));
        let theirs = linux.ask(&program, program.comparable);
        let ours = panal.ask(&program, program.comparable);
        asked += 1;
        if let Answer::Accepted(outcomes) = &theirs {
            accepted += 1;
            compared += u64::from(!outcomes.is_empty());
        }
        let Some(kind) = difference(&theirs, &ours, program.comparable) else {
            continue;
        };
        let count = counts.entry(kind).or_default();
        *count += 1;
        if *count <= effort.show as u64 {
            report(linux, panal, &program, kind, effort.seed + asked - 1);
        }
    }
    println!("{asked} programs: Linux accepted {accepted}, results of {compared} were compared");
    for (kind, count) in &counts {
        println!("{count} {kind:?}");
    }
    let bad =
        counts.contains_key(&Difference::FalseAccept) || counts.contains_key(&Difference::Result);
    if bad {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Shrinks and prints one disagreement.
fn report(linux: &Judge<'_>, panal: &Judge<'_>, program: &Program, kind: Difference, seed: u64) {
    let mut same = |candidate: &Program| {
        let theirs = linux.ask(candidate, candidate.comparable);
        let ours = panal.ask(candidate, candidate.comparable);
        difference(&theirs, &ours, candidate.comparable) == Some(kind)
    };
    let small = shrink::shrink(program, &mut same);
    println!(
        "\n=== {kind:?}, seed {seed}, {} ({} parts)",
        small.prog_type,
        small.size()
    );
    print!("{}", small.text());
    let (theirs, ours) = (
        linux.ask(&small, small.comparable),
        panal.ask(&small, small.comparable),
    );
    println!("linux: {}", theirs.brief());
    println!("panal: {}", ours.brief());
    if let (Answer::Accepted(theirs), Answer::Accepted(ours)) = (&theirs, &ours) {
        for (packet, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
            theirs.print_differences(ours, packet);
        }
    }
}
