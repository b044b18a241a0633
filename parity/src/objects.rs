//! Objects of real tools: every program of each is asked of both kernels, through one loader.

use std::{fs, path::Path, process::ExitCode};

use panal_loader::{Error, Open, ProgramPlan};
use panal_uapi::{
    Errno,
    kernel::{Kernel, VerifierStats},
};

/// `BPF_LOG_STATS`: what was counted, and why not.
const LOG_STATS: u32 = 4;

/// What one kernel says of one program.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Accepted.
    Accept {
        /// What was counted, if the kernel tells.
        stats: Option<VerifierStats>,
        /// The log, as long as its level asked for.
        log: String,
    },
    /// Rejected.
    Reject {
        /// Linux's number for it.
        errno: Errno,
        /// The log.
        log: String,
    },
    /// Could not try.
    Error(String),
}

impl Verdict {
    /// In one word.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Accept { .. } => "accept",
            Verdict::Reject { .. } => "reject",
            Verdict::Error(_) => "error",
        }
    }

    /// Why, when it is no: the log's last words.
    pub fn reason(&self) -> &str {
        match self {
            Verdict::Accept { .. } => "",
            Verdict::Reject { log, .. } => last_line(log),
            Verdict::Error(why) => why,
        }
    }

    /// The log; empty where there is none.
    pub fn log(&self) -> &str {
        match self {
            Verdict::Accept { log, .. } | Verdict::Reject { log, .. } => log,
            Verdict::Error(_) => "",
        }
    }
}

/// Asks a kernel about every program of an object file.
pub fn verdicts(kernel: &dyn Kernel, path: &Path) -> Result<Vec<(String, Verdict)>, String> {
    verdicts_with(kernel, path, &|_| {})
}

/// The same, with the object changed first.
pub fn verdicts_with(
    kernel: &dyn Kernel,
    path: &Path,
    change: &dyn Fn(&mut Open),
) -> Result<Vec<(String, Verdict)>, String> {
    let bytes = fs::read(path).map_err(|e| e.to_string())?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let said = verdicts_of(kernel, &bytes, &name, change)?;
    Ok(said
        .into_iter()
        .map(|(plan, verdict)| (plan.name, verdict))
        .collect())
}

/// The same for an object that was read.
pub fn verdicts_of(
    kernel: &dyn Kernel,
    bytes: &[u8],
    name: &str,
    change: &dyn Fn(&mut Open),
) -> Result<Vec<(ProgramPlan, Verdict)>, String> {
    let mut open = Open::parse(bytes, name).map_err(|e| e.to_string())?;
    open.without_pins();
    for plan in open.programs_mut() {
        plan.log_level = LOG_STATS;
    }
    change(&mut open);
    let prepared = open.prepare(kernel).map_err(|e| e.to_string())?;
    let plans = prepared.open().programs();
    let verdict = |plan: &ProgramPlan| match prepared.load_program(plan.id) {
        Ok(loaded) => Verdict::Accept {
            stats: loaded.stats,
            log: loaded.log,
        },
        Err(Error::Rejected(rejected)) => Verdict::Reject {
            errno: rejected.errno,
            log: rejected.log,
        },
        Err(other) => Verdict::Error(other.to_string()),
    };
    Ok(plans
        .iter()
        .map(|plan| (plan.clone(), verdict(plan)))
        .collect())
}

/// The line of a log that says why.
pub fn last_words(log: &str) -> String {
    last_line(log).to_owned()
}

pub fn last_line(log: &str) -> &str {
    let counted = ["processed ", "verification time", "stack depth"];
    log.lines()
        .rev()
        .find(|line| !counted.iter().any(|c| line.starts_with(c)))
        .unwrap_or_default()
}

/// Runs `panal-parity objects`: a line for each disagreement, then the counts.
pub fn run(paths: &[String], linux: &dyn Kernel, panal: &dyn Kernel) -> ExitCode {
    let (mut agreed, mut decided, mut false_accepts) = (0, 0, 0);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for path in paths {
        let path = Path::new(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (linux, panal) = match (verdicts(linux, path), verdicts(panal, path)) {
            (Ok(linux), Ok(panal)) => (linux, panal),
            (linux, panal) => {
                println!(
                    "{name}: linux: {}; panal: {}",
                    opened(&linux),
                    opened(&panal)
                );
                continue;
            }
        };
        for ((program, linux), (_, panal)) in linux.iter().zip(&panal) {
            if matches!(linux, Verdict::Error(_)) {
                continue;
            }
            decided += 1;
            if linux.word() == panal.word() {
                agreed += 1;
                if let (
                    Verdict::Accept { stats: Some(a), .. },
                    Verdict::Accept { stats: Some(b), .. },
                ) = (linux, panal)
                {
                    theirs.push(*a);
                    ours.push(*b);
                }
                continue;
            }
            false_accepts += u32::from(panal.word() == "accept");
            println!("{name} {program}");
            println!("    linux: {} {}", linux.word(), linux.reason());
            println!("    panal: {} {}", panal.word(), panal.reason());
        }
    }
    println!("agreed on {agreed} of {decided} programs, {false_accepts} false accepts");
    effort("linux", &theirs);
    effort("panal", &ours);
    ExitCode::from(u8::from(agreed < decided))
}

fn opened(result: &Result<Vec<(String, Verdict)>, String>) -> &str {
    result
        .as_ref()
        .map_or_else(|why| why.as_str(), |_| "opened")
}

/// What a kernel spent on the programs that both accepted.
fn effort(name: &str, stats: &[VerifierStats]) {
    let processed: u64 = stats.iter().map(|s| s.processed).sum();
    let states: u64 = stats.iter().map(|s| s.total_states).sum();
    let time: u64 = stats.iter().map(|s| s.time_ns).sum();
    let rate = processed as f64 * 1e3 / time.max(1) as f64;
    println!("{name}: processed {processed}, states {states}, {rate:.2} million a second");
}
