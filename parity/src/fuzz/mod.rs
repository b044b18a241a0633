//! Generated programs: both kernels are asked, disagreements are shrunk to a minimal text.

mod difference;
mod effort;
mod engines;
pub mod page;
mod worker;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex, MutexGuard, PoisonError,
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
    worker::{Asked, Bench, Kernels},
};
use crate::{ask::Answer, generate, shrink};

/// How long one disagreement is shrunk, at most.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many crashes of Linux's verifier a run survives.
const CRASHES: usize = 4;
/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(300);

/// Runs `panal-parity fuzz`.
pub fn run(args: &[String], linux: &dyn Kernel) -> ExitCode {
    match attempt(args, linux) {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("panal-parity: {why}");
            ExitCode::from(2)
        }
    }
}

fn attempt(args: &[String], linux: &dyn Kernel) -> Result<u8, String> {
    let effort = Effort::parse(args)?;
    let kernels = Kernels::new(&effort.engines)?;
    let bench = match Bench::new(linux, &kernels) {
        Ok(bench) => bench,
        Err(why) => {
            println!("skipped: this Linux cannot be asked: {why}");
            return Ok(0);
        }
    };
    let (panal, name) = bench.names();
    let by = engines::names(&effort.engines);
    println!("{panal} by {by} against {name}");
    if let Some(run) = &effort.again {
        return again(run, effort.json.as_deref(), &bench);
    }
    let start = Instant::now();
    let finish = |counts: Counts| finish(&effort, &bench, counts, start.elapsed());
    all(&effort, linux, start, &finish)
}

/// Asks again about the disagreements of a run, and notes in its JSON how they are now.
fn again(path: &str, out: Option<&str>, bench: &Bench<'_>) -> Result<u8, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let mut run: Value = serde_json::from_str(&text).map_err(|e| format!("{path}: {e}"))?;
    let cases = run.get_mut("cases").and_then(Value::as_array_mut);
    let cases = cases.ok_or_else(|| format!("{path}: not a run's JSON: no cases"))?;
    let mut code = 0;
    for case in cases {
        let seed = case.get("seed").and_then(Value::as_u64);
        let seed = seed.ok_or_else(|| format!("{path}: a case without a seed"))?;
        let now = bench.ask(seed, true).difference;
        let said = now.map_or_else(|| "agrees".to_owned(), |kind| format!("{kind:?}"));
        let before = case.get("kind").and_then(Value::as_str).unwrap_or("?");
        println!("seed {seed}: {before}, now {said}");
        case["now"] = said.into();
        code |= u8::from(now.is_some_and(Difference::is_fault));
    }
    if let Some(out) = out {
        write_json(out, &run)?;
    }
    Ok(code)
}

fn write_json(path: &str, value: &Value) -> Result<(), String> {
    std::fs::write(path, format!("{value:#}\n")).map_err(|e| format!("{path}: {e}"))
}

/// Says and writes down what was seen; the exit code.
fn finish(
    effort: &Effort,
    bench: &Bench<'_>,
    mut counts: Counts,
    took: Duration,
) -> Result<u8, String> {
    let (panal, linux) = bench.names();
    counts.found.sort_unstable();
    counts.print(effort.seed, took);
    let mut shown: BTreeMap<Difference, usize> = BTreeMap::new();
    let mut cases = Vec::new();
    for &(seed, kind) in &counts.found {
        let count = shown.entry(kind).or_default();
        *count += 1;
        cases.push(if *count <= effort.show {
            report(bench, seed, kind, effort.logs.as_deref())?
        } else {
            json!({"kind": format!("{kind:?}"), "seed": seed})
        });
    }
    if let Some(path) = &effort.json {
        let whole = json!({
            "panal": panal,
            "linux": linux,
            "engines": engines::names(&effort.engines),
            "jobs": effort.jobs,
            "first_seed": effort.seed,
            "next_seed": effort.seed.wrapping_add(counts.programs),
            "seconds": took.as_secs_f64(),
            "programs": counts.programs,
            "heavy_left_out": counts.skipped,
            "dangerous_left_out": counts.dangerous,
            "accepted": counts.accepted,
            "compared": counts.compared,
            "differences": counts.kinds().into_iter()
                .map(|(kind, count)| (format!("{kind:?}"), json!(count)))
                .collect::<serde_json::Map<String, Value>>(),
            "cases": cases,
        });
        write_json(path, &whole)?;
    }
    let fault = counts.found.iter().any(|(_, kind)| kind.is_fault());
    Ok(u8::from(fault))
}

/// What was seen so far, by all threads.
#[derive(Clone, Default)]
struct Counts {
    programs: u64,
    skipped: u64,
    dangerous: u64,
    accepted: u64,
    compared: u64,
    /// Seeds, and how answers differed.
    found: Vec<(u64, Difference)>,
}

impl Counts {
    fn add(&mut self, seed: u64, asked: &Asked) {
        self.programs += 1;
        self.skipped += u64::from(asked.skipped);
        self.dangerous += u64::from(asked.dangerous);
        self.accepted += u64::from(asked.accepted);
        self.compared += u64::from(asked.compared);
        self.found(seed, asked.difference);
    }

    /// The kernel killed the thread that asked about a program.
    fn crashed(&mut self, seed: u64) {
        self.programs += 1;
        self.found(seed, Some(Difference::LinuxCrash));
    }

    fn found(&mut self, seed: u64, difference: Option<Difference>) {
        if let Some(kind) = difference {
            println!("{kind:?}, seed {seed}");
            self.found.push((seed, kind));
        }
    }

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
            "{} programs in {} s ({rate:.0} a second), {} of them heavy and left out, {} that Linux might \
             not survive: \
             Linux accepted {}, results of {} were compared; next seed {}",
            self.programs,
            took.as_secs(),
            self.skipped,
            self.dangerous,
            self.accepted,
            self.compared,
            seed.wrapping_add(self.programs),
        );
        for (kind, count) in self.kinds() {
            println!("{count} {kind:?}");
        }
    }
}

/// What a thread works on: its own directory of the process, and a seed.
type Place = Mutex<Option<(PathBuf, u64)>>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shares the seeds out among threads until the effort is spent, and finishes.
fn all(
    effort: &Effort,
    linux: &dyn Kernel,
    start: Instant,
    finish: &dyn Fn(Counts) -> Result<u8, String>,
) -> Result<u8, String> {
    let end = start + Duration::from_secs(effort.seconds);
    let next = AtomicU64::new(0);
    let most = effort.programs.unwrap_or(u64::MAX);
    let tally = Mutex::new(Counts::default());
    let work = |place: &Place| -> Result<(), String> {
        let kernels = Kernels::new(&effort.engines)?;
        let bench = Bench::new(linux, &kernels)?;
        let thread = std::fs::read_link("/proc/thread-self").map_err(|e| e.to_string())?;
        let thread = Path::new("/proc").join(thread);
        while Instant::now() < end {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= most {
                break;
            }
            let seed = effort.seed.wrapping_add(number);
            *locked(place) = Some((thread.clone(), seed));
            let asked = bench.ask(seed, effort.programs.is_some());
            locked(&tally).add(seed, &asked);
        }
        *locked(place) = None;
        Ok(())
    };
    let places: Vec<Place> = (0..effort.jobs + CRASHES)
        .map(|_| Mutex::new(None))
        .collect();
    thread::scope(|scope| {
        let mut free = places.iter();
        let begin = |place| scope.spawn(move || work(place));
        let mut workers: Vec<_> = free
            .by_ref()
            .take(effort.jobs)
            .map(|place| (place, begin(place)))
            .collect();
        let mut tell = start + PROGRESS;
        let mut crashed = false;
        while !workers.iter().all(|(_, worker)| worker.is_finished()) {
            thread::sleep(Duration::from_millis(20));
            let gone = workers.iter().position(|(place, worker)| {
                let at = locked(place).clone();
                !worker.is_finished() && at.is_some_and(|(thread, _)| !thread.exists())
            });
            if let Some(gone) = gone {
                let (place, _) = workers.swap_remove(gone);
                if let Some((_, seed)) = locked(place).take() {
                    locked(&tally).crashed(seed);
                }
                crashed = true;
                match free.next() {
                    Some(place) => workers.push((place, begin(place))),
                    None => break,
                }
            }
            if Instant::now() >= tell {
                tell += PROGRESS;
                locked(&tally).print(effort.seed, start.elapsed());
            }
        }
        if crashed {
            // The scope would wait for a thread that is no more.
            let code = finish(locked(&tally).clone()).unwrap_or_else(|why| {
                eprintln!("panal-parity: {why}");
                2
            });
            std::process::exit(code.into());
        }
        for (_, worker) in workers {
            let joined = worker.join();
            joined.unwrap_or_else(|_| Err("a thread panicked".to_owned()))?;
        }
        finish(locked(&tally).clone())
    })
}

/// Shrinks and prints one disagreement.
fn report(
    bench: &Bench<'_>,
    seed: u64,
    kind: Difference,
    logs: Option<&str>,
) -> Result<Value, String> {
    let program = generate::wide(seed);
    if kind == Difference::LinuxCrash {
        println!("\n=== {kind:?}, seed {seed}, {}", program.prog_type);
        print!("{}", program.text());
        return Ok(json!({"kind": format!("{kind:?}"), "seed": seed, "text": program.text()}));
    }
    let Some((which, kind)) = bench.who_differs(&program) else {
        println!("\n=== {kind:?}, seed {seed}: not seen again");
        return Ok(json!({"kind": format!("{kind:?}"), "seed": seed, "again": false}));
    };
    let until = Instant::now() + PATIENCE;
    let small = shrink::shrink(&program, &mut |candidate| {
        Instant::now() < until && bench.differs(candidate, which) == Some(kind)
    });
    let engine = bench.engine(which);
    println!(
        "\n=== {kind:?}, seed {seed}, {}, {engine} ({} parts)",
        small.prog_type,
        small.size()
    );
    print!("{}", small.text());
    let mut case = json!({
        "kind": format!("{kind:?}"),
        "seed": seed,
        "engine": engine,
        "type": small.prog_type.to_string(),
        "text": small.text(),
    });
    if kind == Difference::Panic {
        return Ok(case);
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
    for (whose, log) in ["linux", "panal"]
        .into_iter()
        .zip(bench.logs(&small, which))
    {
        if let Some(log) = log {
            if let Some(folder) = logs {
                let path = Path::new(folder).join(format!("{seed}-{whose}.log"));
                std::fs::write(&path, &log).map_err(|e| format!("{}: {e}", path.display()))?;
            }
            case[format!("{whose}_log")] = end_of(&log).into();
        }
    }
    case["linux"] = theirs.brief().into();
    case["panal"] = ours.brief().into();
    case["otherwise"] = lines.into();
    Ok(case)
}

/// The last lines of a log.
fn end_of(log: &str) -> String {
    const LINES: usize = 200;
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
