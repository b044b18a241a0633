//! Verifiers on the same objects: instructions processed a second, Panal's against Linux's.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use nix::sys::resource::{UsageWho, getrusage};
use panal_linux::LinuxKernel;
use panal_parity::build;
use panal_uapi::kernel::Kernel;
use serde_json::Value;

use crate::{
    command::{panal, root},
    table::Table,
};

const ROUNDS: usize = 3;

/// Selftests of Linux 6.12 that are large, or loop long.
const SELFTESTS: &[&str] = &[
    "bpf_flow",
    "loop1",
    "loop3",
    "loop6",
    "pyperf180",
    "pyperf600",
    "pyperf600_bpf_loop",
    "pyperf600_iter",
    "pyperf600_nounroll",
    "pyperf_global",
    "pyperf_subprogs",
    "strobemeta",
    "strobemeta_bpf_loop",
    "strobemeta_nounroll1",
    "strobemeta_nounroll2",
    "strobemeta_subprogs",
    "test_cls_redirect",
    "test_l4lb",
    "test_sysctl_loop1",
    "test_tcp_hdr_options",
    "test_verif_scale1",
    "test_verif_scale2",
    "test_verif_scale3",
    "test_xdp_noinline",
    "xdp_synproxy_kern",
];

/// Our own objects, and those of Debian's xdp-tools where they are.
fn objects() -> Vec<PathBuf> {
    let folders = [
        root().join("examples"),
        root().join("bench/programs"),
        Path::new("/usr/lib/x86_64-linux-gnu/bpf").to_path_buf(),
    ];
    let mut found: Vec<PathBuf> = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "o"))
        .collect();
    found.sort();
    found
}

/// The selftests, compiled against the running kernel's types.
fn selftests() -> Result<Vec<PathBuf>, String> {
    let types = LinuxKernel::new().btf().map_err(|e| e.to_string())?;
    let names: Vec<String> = SELFTESTS.iter().map(|name| (*name).to_owned()).collect();
    let built = build::build("running", &types, &names)?;
    for why in &built.failed {
        println!("skipped: {why}");
    }
    Ok(built.objects)
}

/// What a verifier did with a program.
struct Answer {
    program: String,
    verdict: String,
    processed: u64,
    states: u64,
    ns: u64,
}

fn ask(object: &Path, linux: bool) -> Vec<Answer> {
    let Ok(panal) = panal() else {
        return Vec::new();
    };
    let mut command = Command::new(panal);
    command.args(["verify", "--json"]).arg(object);
    if linux {
        command.args(["--kernel", "linux"]);
    } else if Path::new("/sys/kernel/btf/vmlinux").exists() {
        command.args(["--profile", "host"]);
    }
    let output = match command.output() {
        Ok(output) => output.stdout,
        Err(_) => return Vec::new(),
    };
    let answer = |line: &str| {
        let said: Value = serde_json::from_str(line).ok()?;
        Some(Answer {
            program: said["program"].as_str()?.to_owned(),
            verdict: said["verdict"].as_str()?.to_owned(),
            processed: said["processed"].as_u64()?,
            states: said["states_total"].as_u64()?,
            ns: said["time_ns"].as_u64()?,
        })
    };
    String::from_utf8_lossy(&output)
        .lines()
        .filter_map(answer)
        .collect()
}

/// The answers of the fastest of some rounds.
fn fastest(object: &Path, linux: bool) -> Vec<Answer> {
    (0..ROUNDS)
        .map(|_| ask(object, linux))
        .min_by_key(|answers| answers.iter().map(|a| a.ns).sum::<u64>())
        .unwrap_or_default()
}

/// Sums over programs.
#[derive(Clone, Copy, Default)]
struct Effort {
    processed: u64,
    states: u64,
    ns: u64,
}

impl Effort {
    fn add(&mut self, answer: &Answer) {
        self.processed += answer.processed;
        self.states += answer.states;
        self.ns += answer.ns;
    }

    /// Million instructions a second.
    fn rate(&self) -> f64 {
        self.processed as f64 * 1e3 / self.ns.max(1) as f64
    }
}

/// All that was compared.
#[derive(Default)]
struct Comparison {
    ours: Effort,
    theirs: Effort,
    /// For each program, how much of what Linux processed Panal did.
    ratios: Vec<f64>,
    /// What Panal processed of each object.
    largest: Vec<(u64, PathBuf)>,
}

impl Comparison {
    /// Programs about which both say the same; their sums, `None` when there are none.
    fn add(&mut self, panal: &[Answer], linux: &[Answer]) -> Option<(Effort, Effort)> {
        let (mut ours, mut theirs) = (Effort::default(), Effort::default());
        for a in panal {
            let same = |b: &&Answer| b.program == a.program && b.verdict == a.verdict;
            let Some(b) = linux.iter().find(same) else {
                continue;
            };
            if a.processed == 0 || b.processed == 0 {
                continue;
            }
            ours.add(a);
            theirs.add(b);
            self.ours.add(a);
            self.theirs.add(b);
            self.ratios.push(a.processed as f64 / b.processed as f64);
        }
        (theirs.processed != 0).then_some((ours, theirs))
    }
}

/// Prints the table.
pub fn run() -> Result<(), String> {
    let mut table = Table::new(&[
        "object",
        "processed",
        "Linux",
        "ratio",
        "states",
        "Linux",
        "M/s",
        "Linux",
        "speed-up",
    ]);
    let mut objects = objects();
    match selftests() {
        Ok(more) => objects.extend(more),
        Err(why) => println!("skipped: the large selftests: {why}"),
    }
    let mut all = Comparison::default();
    for object in objects {
        let (panal, linux) = (fastest(&object, false), fastest(&object, true));
        if let Some((ours, theirs)) = all.add(&panal, &linux) {
            let name = object.file_name().unwrap_or_default().to_string_lossy();
            table.row(&row(&name, &ours, &theirs));
            all.largest.push((ours.processed, object));
        }
    }
    table.row(&row("all", &all.ours, &all.theirs));
    table.print();
    println!("\nbest of {ROUNDS} rounds; programs about which both say the same");
    all.ratios.sort_by(f64::total_cmp);
    if let [.., most] = all.ratios[..] {
        let median = all.ratios[all.ratios.len() / 2];
        println!(
            "processed, Panal / Linux, over {} programs: median {median:.2}, at most {most:.2}",
            all.ratios.len()
        );
    } else {
        println!("skipped: Linux's figures: bpf(2) does not work here");
        println!("Panal alone: see `panal verify --json`");
    }
    print_memory(all.largest);
    Ok(())
}

/// The whole process's memory, for the objects with most instructions processed.
fn print_memory(mut objects: Vec<(u64, PathBuf)>) {
    const OBJECTS: usize = 5;
    objects.sort_by_key(|(processed, _)| std::cmp::Reverse(*processed));
    println!("\nmemory of the whole process, types of the kernel included:");
    for (processed, object) in objects.into_iter().take(OBJECTS) {
        let name = object.file_name().unwrap_or_default().to_string_lossy();
        match peak_of(&object) {
            Some(mb) => println!("  {name}: {mb} MB for {processed} processed"),
            None => println!("  skipped: {name}: it could not be measured"),
        }
    }
}

/// Megabytes at most of a process that verifies an object. It has a parent of its own, as a process is
/// told only of the largest of all its children.
fn peak_of(object: &Path) -> Option<u64> {
    let this = std::env::current_exe().ok()?;
    let output = Command::new(this).arg(MEMORY).arg(object).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// How this benchmark calls itself for [`peak_of`].
const MEMORY: &str = "--memory-of";

/// Where these are the arguments of such a call: does what it is for.
pub fn memory_of(args: &[String]) -> Option<ExitCode> {
    let [word, object] = args else {
        return None;
    };
    if word != MEMORY {
        return None;
    }
    ask(Path::new(object), false);
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return Some(ExitCode::FAILURE);
    };
    // The kernel counts in units of 1024 bytes.
    println!("{}", usage.max_rss() * 1024 / 1_000_000);
    Some(ExitCode::SUCCESS)
}

fn row(name: &str, ours: &Effort, theirs: &Effort) -> [String; 9] {
    let ratio = ours.processed as f64 / theirs.processed.max(1) as f64;
    [
        name.to_owned(),
        ours.processed.to_string(),
        theirs.processed.to_string(),
        format!("{ratio:.2}"),
        ours.states.to_string(),
        theirs.states.to_string(),
        format!("{:.2}", ours.rate()),
        format!("{:.2}", theirs.rate()),
        format!("{:.1}", ours.rate() / theirs.rate().max(1e-9)),
    ]
}
