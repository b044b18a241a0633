//! Generated programs: both kernels are asked, disagreements are shrunk to a minimal text.

mod difference;
mod effort;
mod worker;

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use panal_uapi::kernel::Kernel;
use serde_json::{Value, json};

use self::{
    difference::Difference,
    effort::Effort,
    worker::{Bench, Kernels},
};
use crate::{ask::Answer, generate, shrink};

/// How long one disagreement is shrunk, at most.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(300);

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
    let effort = Effort::parse(args)?;
    let kernels = Kernels::new(&effort.engines)?;
    let bench = match Bench::new(linux, &kernels) {
        Ok(bench) => bench,
        Err(why) => {
            println!("skipped: this Linux cannot be asked: {why}");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let (panal, name) = bench.names();
    println!("{panal} {:?} against {name}", effort.engines);
    let start = Instant::now();
    let tally = Tally::default();
    all(&effort, linux, start, &tally)?;
    let mut counts = tally.into_counts();
    counts.found.sort_unstable();
    let took = start.elapsed();
    counts.print(effort.seed, took);
    let mut shown: BTreeMap<Difference, usize> = BTreeMap::new();
    let mut cases = Vec::new();
    for &(seed, kind) in &counts.found {
        let count = shown.entry(kind).or_default();
        *count += 1;
        cases.push(if *count <= effort.show {
            report(&bench, seed, kind)
        } else {
            json!({"kind": format!("{kind:?}"), "seed": seed})
        });
    }
    if let Some(path) = &effort.json {
        let whole = json!({
            "panal": panal,
            "linux": name,
            "engines": format!("{:?}", effort.engines),
            "jobs": effort.jobs,
            "first_seed": effort.seed,
            "next_seed": effort.seed.wrapping_add(counts.programs),
            "seconds": took.as_secs_f64(),
            "programs": counts.programs,
            "heavy_left_out": counts.skipped,
            "accepted": counts.accepted,
            "compared": counts.compared,
            "differences": counts.kinds().into_iter()
                .map(|(kind, count)| (format!("{kind:?}"), json!(count)))
                .collect::<serde_json::Map<String, Value>>(),
            "cases": cases,
        });
        std::fs::write(path, format!("{whole:#}\n")).map_err(|e| format!("{path}: {e}"))?;
    }
    let fault = counts.found.iter().any(|(_, kind)| kind.is_fault());
    Ok(if fault {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// What was seen so far, by all threads.
#[derive(Default)]
struct Tally(Mutex<Counts>);

#[derive(Clone, Default)]
struct Counts {
    programs: u64,
    skipped: u64,
    accepted: u64,
    compared: u64,
    /// Seeds, and how answers differed.
    found: Vec<(u64, Difference)>,
}

impl Tally {
    fn with<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn into_counts(self) -> Counts {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn kinds(&self) -> BTreeMap<Difference, u64> {
        let mut kinds = BTreeMap::new();
        for (_, kind) in &self.found {
            *kinds.entry(*kind).or_default() += 1;
        }
        kinds
    }

    fn print(&self, seed: u64, took: Duration) {
        let rate = self.programs as f64 / took.as_secs_f64().max(0.001);
        println!(
            "{} programs in {} s ({rate:.0} a second), {} of them heavy and left out: \
             Linux accepted {}, results of {} were compared; next seed {}",
            self.programs,
            took.as_secs(),
            self.skipped,
            self.accepted,
            self.compared,
            seed.wrapping_add(self.programs),
        );
        for (kind, count) in self.kinds() {
            println!("{count} {kind:?}");
        }
    }
}

/// Shares the seeds out among threads until the effort is spent.
fn all(effort: &Effort, linux: &dyn Kernel, start: Instant, tally: &Tally) -> Result<(), String> {
    let end = start + Duration::from_secs(effort.seconds);
    let next = AtomicU64::new(0);
    let most = effort.programs.unwrap_or(u64::MAX);
    let work = || -> Result<(), String> {
        let kernels = Kernels::new(&effort.engines)?;
        let bench = Bench::new(linux, &kernels)?;
        while Instant::now() < end {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= most {
                break;
            }
            let seed = effort.seed.wrapping_add(number);
            let asked = bench.ask(seed, effort.programs.is_some());
            tally.with(|counts| {
                counts.programs += 1;
                counts.skipped += u64::from(asked.skipped);
                counts.accepted += u64::from(asked.accepted);
                counts.compared += u64::from(asked.compared);
                if let Some(kind) = asked.difference {
                    println!("{kind:?}, seed {seed}");
                    counts.found.push((seed, kind));
                }
            });
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..effort.jobs).map(|_| scope.spawn(work)).collect();
        let mut tell = start + PROGRESS;
        while !workers.iter().all(|worker| worker.is_finished()) {
            thread::sleep(Duration::from_millis(20));
            if Instant::now() >= tell {
                tell += PROGRESS;
                let counts = tally.with(|counts| counts.clone());
                counts.print(effort.seed, start.elapsed());
            }
        }
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|_| Err("a thread panicked".to_owned()))
        })
    })
}

/// Shrinks and prints one disagreement.
fn report(bench: &Bench<'_>, seed: u64, kind: Difference) -> Value {
    let program = generate::wide(seed);
    let Some((which, kind)) = bench.who_differs(&program) else {
        println!("\n=== {kind:?}, seed {seed}: not seen again");
        return json!({"kind": format!("{kind:?}"), "seed": seed, "again": false});
    };
    let until = Instant::now() + PATIENCE;
    let small = shrink::shrink(&program, &mut |candidate| {
        Instant::now() < until && bench.differs(candidate, which) == Some(kind)
    });
    let engine = bench.engine(which);
    println!(
        "\n=== {kind:?}, seed {seed}, {}, {engine:?} ({} parts)",
        small.prog_type,
        small.size()
    );
    print!("{}", small.text());
    let mut case = json!({
        "kind": format!("{kind:?}"),
        "seed": seed,
        "engine": format!("{engine:?}"),
        "type": small.prog_type.to_string(),
        "text": small.text(),
    });
    if kind == Difference::Panic {
        return case;
    }
    let (theirs, ours) = bench.answers(&small, which);
    println!("linux: {}", theirs.brief());
    println!("panal: {}", ours.brief());
    let mut lines = Vec::new();
    if let (Answer::Accepted(theirs), Answer::Accepted(ours)) = (&theirs, &ours) {
        for (packet, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
            lines.extend(theirs.differences(ours, packet));
        }
    }
    for line in &lines {
        println!("{line}");
    }
    case["linux"] = theirs.brief().into();
    case["panal"] = ours.brief().into();
    case["otherwise"] = lines.into();
    case
}
