//! Verifiers on the same objects: instructions processed a second, Panal's against Linux's.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    command::{panal, root},
    table::Table,
};

const ROUNDS: usize = 3;

/// Objects that are measured: our own, and those of Debian's xdp-tools where they are.
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

/// What a verifier counted over the accepted programs of an object.
#[derive(Clone, Copy, Default)]
struct Effort {
    programs: u64,
    processed: u64,
    states: u64,
    ns: u64,
}

fn effort(object: &Path, linux: bool) -> Effort {
    let mut command = match panal() {
        Ok(panal) => Command::new(panal),
        Err(_) => return Effort::default(),
    };
    command.args(["verify", "--json"]).arg(object);
    if linux {
        command.args(["--kernel", "linux"]);
    } else if Path::new("/sys/kernel/btf/vmlinux").exists() {
        command.args(["--profile", "host"]);
    }
    let Ok(output) = command.output() else {
        return Effort::default();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut sum = Effort::default();
    for line in text.lines() {
        let Ok(program) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if program["verdict"] != "accept" {
            continue;
        }
        sum.programs += 1;
        sum.processed += program["processed"].as_u64().unwrap_or(0);
        sum.states += program["states_total"].as_u64().unwrap_or(0);
        sum.ns += program["time_ns"].as_u64().unwrap_or(0);
    }
    sum
}

/// Million instructions a second.
fn rate(effort: &Effort) -> f64 {
    effort.processed as f64 * 1e3 / effort.ns.max(1) as f64
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
    let (mut ours, mut theirs) = (Effort::default(), Effort::default());
    for object in objects() {
        let fastest = |linux: bool| {
            (0..ROUNDS)
                .map(|_| effort(&object, linux))
                .min_by_key(|e| e.ns)
                .unwrap_or_default()
        };
        let (panal, linux) = (fastest(false), fastest(true));
        if panal.programs == 0 || panal.programs != linux.programs {
            continue;
        }
        for (sum, one) in [(&mut ours, &panal), (&mut theirs, &linux)] {
            sum.processed += one.processed;
            sum.states += one.states;
            sum.ns += one.ns;
        }
        let name = object
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        table.row(&row(name, &panal, &linux));
    }
    table.row(&row("all".into(), &ours, &theirs));
    table.print();
    println!("\nbest of {ROUNDS} rounds; objects whose programs both accept");
    if theirs.processed == 0 {
        println!("skipped: Linux's figures: bpf(2) does not work here");
        println!("Panal alone: see `panal verify --json`");
    }
    Ok(())
}

fn row(name: String, panal: &Effort, linux: &Effort) -> [String; 9] {
    let ratio = panal.processed as f64 / linux.processed.max(1) as f64;
    [
        name,
        panal.processed.to_string(),
        linux.processed.to_string(),
        format!("{ratio:.2}"),
        panal.states.to_string(),
        linux.states.to_string(),
        format!("{:.2}", rate(panal)),
        format!("{:.2}", rate(linux)),
        format!("{:.1}", rate(panal) / rate(linux).max(1e-9)),
    ]
}
