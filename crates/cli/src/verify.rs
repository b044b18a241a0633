//! `panal verify`: a verdict for every program of the objects.

use std::{io::Write, path::Path, time::Instant};

use panal_loader::{Open, Prepared, ProgramPlan};
use panal_uapi::{Errno, kernel::Kernel, profile::Profile};

use crate::{
    DONE, REJECTED,
    args::{KernelName, Verify},
    error::Problem,
    in_order::in_order,
    kernels, object, output,
    progress::Progress,
    sarif, target,
    verdict::{self, Outcome, Program, Verdict, duration},
};

/// Log level that asks only for the final counts.
const BPF_LOG_STATS: u32 = 4;

/// Runs the command; the exit code.
pub fn run(arguments: &Verify) -> Result<u8, Problem> {
    if arguments.explain && arguments.kernel == KernelName::Linux {
        let text = "--explain is for Panal's verifier: what Linux has to say is its log (--log 2)";
        return Err(Problem::Asked(text.to_owned()));
    }
    let profile = match (&arguments.profile, arguments.kernel) {
        // That is what it is.
        (Some(name), KernelName::Linux) if name == "host" => None,
        (Some(_), KernelName::Linux) => {
            let text = "--profile is for Panal's verifier: Linux judges as what it is itself";
            return Err(Problem::Asked(text.to_owned()));
        }
        (named, _) => kernels::profile(named.as_deref().unwrap_or("panal"))?,
    };
    let mut out = output::stdout();
    let mut tally = Tally {
        worst: Verdict::Accept,
        counts: [0; 3],
        found: false,
        report: arguments.sarif.then(sarif::Report::new),
    };
    let started = Instant::now();
    let mut progress = Progress::start();
    for path in &arguments.objects {
        let file = path.display().to_string();
        let result = object(
            arguments,
            path,
            &file,
            profile.as_ref(),
            &mut progress,
            &mut tally,
            &mut out,
        );
        progress.clear();
        match result {
            Ok(()) => {}
            // Nothing more can be printed.
            Err(problem @ (Problem::Output(_) | Problem::OutputClosed | Problem::Reported(_))) => {
                return Err(problem);
            }
            Err(problem) if arguments.sarif => {
                if let Some(report) = &mut tally.report {
                    report.failed(&file, None, &problem.to_string());
                }
                tally.count(Verdict::Error);
            }
            Err(problem) if arguments.json => {
                let message = problem.to_string();
                verdict::print_no_object(&mut out, &file, &message)?;
                tally.count(Verdict::Error);
            }
            Err(problem) => {
                out.flush()?;
                output::error(&problem);
                tally.count(Verdict::Error);
            }
        }
    }
    if let (Some(name), false) = (&arguments.program, tally.found)
        && tally.worst != Verdict::Error
    {
        let text = format!("no program `{name}` in any of the objects");
        return Err(Problem::Asked(text));
    }
    if let Some(report) = &tally.report {
        report.print(&mut out)?;
    } else if !arguments.json && tally.counts.iter().sum::<usize>() > 1 {
        let [accepted, rejected, failed] = tally.counts;
        let took = duration(started.elapsed());
        writeln!(
            out,
            "{accepted} accepted, {rejected} rejected, {failed} without a verdict, {took}"
        )?;
    }
    output::finish(out)?;
    Ok(match tally.worst {
        Verdict::Accept => DONE,
        Verdict::Reject => REJECTED,
        Verdict::Error => crate::COULD_NOT_TRY,
    })
}

struct Tally {
    worst: Verdict,
    counts: [usize; 3],
    /// Whether the program that was asked for was there.
    found: bool,
    /// What is said at the end, for code hosts.
    report: Option<sarif::Report>,
}

impl Tally {
    fn count(&mut self, verdict: Verdict) {
        self.worst = self.worst.max(verdict);
        self.counts[verdict as usize] += 1;
    }
}

/// All programs of an object, or the one that was asked for.
fn object(
    arguments: &Verify,
    path: &Path,
    file: &str,
    profile: Option<&Profile>,
    progress: &mut Progress,
    tally: &mut Tally,
    out: &mut impl Write,
) -> Result<(), Problem> {
    let mut open = object::load(path)?;
    let wanted = |plan: &ProgramPlan| {
        arguments
            .program
            .as_ref()
            .is_none_or(|name| *name == plan.name)
    };
    if !open.programs().iter().any(wanted) {
        if arguments.program.is_none() {
            return Err(Problem::Asked(format!(
                "{file}: the object has no programs"
            )));
        }
        // Another object may have it.
        return match arguments.objects.len() {
            1 => Err(object::no_program(
                path,
                open.object(),
                arguments.program.as_deref().unwrap_or_default(),
            )),
            _ => Ok(()),
        };
    }
    tally.found = true;
    // Linux counts only where it logs.
    let quiet = if arguments.kernel == KernelName::Linux {
        BPF_LOG_STATS
    } else {
        0
    };
    for plan in open.programs_mut() {
        plan.log_level = arguments.log.unwrap_or(quiet);
    }
    object::unpin(&mut open);
    let kernel = kernels::judge(arguments.kernel, profile)?;
    target::tie(&mut open, arguments.target.as_ref(), kernel.as_ref(), file)?;
    let plans: Vec<ProgramPlan> = open
        .programs()
        .iter()
        .filter(|p| wanted(p))
        .cloned()
        .collect();
    let prepared = prepare(open, kernel.as_ref(), file)?;
    if let Some(why) = prepared.types_failure()
        && lacks_types_of_its_own(why)
    {
        output::note(&format_args!(
            "{file}: programs are loaded without their types (BTF), as libbpf loads them then: {why}"
        ));
    }
    let mut done = 0;
    let say = |done: usize, progress: &mut Progress| {
        if let Some(plan) = plans.get(done) {
            let (name, of) = (&plan.name, plans.len());
            progress.say(format_args!("{file}: {name} ({} of {of})", done + 1));
        }
    };
    say(done, progress);
    in_order(
        &plans,
        |plan| judge(&prepared, plan),
        |plan, (instructions, outcome)| {
            progress.clear();
            let program = Program {
                file,
                plan,
                instructions,
                logged: arguments.log.is_some(),
                explained: arguments.explain,
            };
            let verdict = match &mut tally.report {
                Some(report) => report.add(file, &plan.name, &outcome),
                None => program.print(&outcome, arguments.json, out)?,
            };
            tally.count(verdict);
            done += 1;
            say(done, progress);
            Ok(())
        },
    )
}

fn prepare<'k>(open: Open, kernel: &'k dyn Kernel, file: &str) -> Result<Prepared<'k>, Problem> {
    open.prepare(kernel)
        .map_err(|error| Problem::Asked(format!("{file}: {error}")))
}

/// Whether the types are at fault, not who loads them.
fn lacks_types_of_its_own(why: &panal_loader::Error) -> bool {
    let panal_loader::Error::Kernel { failure, .. } = why else {
        return true;
    };
    failure.errno != Errno::EPERM
}

/// Asks the kernel about one program; also how many instructions it has with its subprograms.
fn judge(prepared: &Prepared<'_>, plan: &ProgramPlan) -> (Option<usize>, Outcome) {
    let outcome = match prepared.load_program(plan.id) {
        Ok(loaded) => Outcome::Accepted {
            stats: loaded.stats,
            log: loaded.log,
        },
        Err(panal_loader::Error::Rejected(rejected)) => Outcome::Rejected(rejected),
        Err(error) => Outcome::failed(&error),
    };
    let instructions = prepared.spec(plan).ok().map(|spec| spec.code.len());
    (instructions, outcome)
}
