//! The engines on the same programs: interpreter, machine code, and Linux's JIT where bpf(2) works.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::{
    command::{panal, root},
    table::Table,
};

/// Programs, with the bytes of the packet they run on and how often they run in one round.
const PROGRAMS: &[(&str, u32)] = &[
    ("arith", 2000),
    ("checksum", 20_000),
    ("sort", 2000),
    ("maps", 2000),
    ("hash", 20_000),
    ("parse", 20_000),
    ("cases", 5000),
    ("calls", 5000),
    ("search", 5000),
    ("empty", 200_000),
];
const ROUNDS: usize = 5;
const PACKET: usize = 1000;

/// An engine: its name in the table, and the arguments that choose it.
const ENGINES: &[(&str, &[&str])] = &[
    ("interpreter", &["--engine", "interp"]),
    ("machine code", &["--engine", "jit"]),
    ("Linux", &["--kernel", "linux"]),
];

/// What one engine did with one program.
#[derive(Clone, Copy, Default)]
struct Measured {
    ns: f64,
    steps: Option<u64>,
    retval: u64,
}

fn measure(engine: &[&str], name: &str, data: &Path, repeat: u32) -> Result<Measured, String> {
    let object = root().join(format!("bench/programs/{name}.bpf.o"));
    let mut command = Command::new(panal()?);
    command
        .args(["prog", "run"])
        .arg(object)
        .args(["--program", name, "--json", "--data-in"]);
    command
        .arg(data)
        .args(engine)
        .arg("--repeat")
        .arg(repeat.to_string());
    let output = command.output().map_err(|e| e.to_string())?;
    let value: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| String::from_utf8_lossy(&output.stderr).trim().to_owned())?;
    if let Some(why) = value["stopped"].as_str() {
        return Err(why.to_owned());
    }
    Ok(Measured {
        ns: value["duration_ns"].as_f64().ok_or("no duration_ns")?,
        steps: value["steps"].as_u64(),
        retval: value["retval"].as_u64().unwrap_or(0),
    })
}

/// What the programs are run on.
pub fn packet() -> Vec<u8> {
    (0..PACKET).map(|i| (i * 7 + 1) as u8).collect()
}

/// Prints the table.
pub fn run() -> Result<(), String> {
    let data = std::env::temp_dir().join(format!("panal-bench-{}.bin", std::process::id()));
    std::fs::write(&data, packet()).map_err(|e| e.to_string())?;
    let result = table(&data);
    let _ = std::fs::remove_file(&data);
    result
}

fn table(data: &Path) -> Result<(), String> {
    let mut table = Table::new(&[
        "program",
        "steps",
        "interpreter, ns a step",
        "interpreter / Linux",
        "machine code / Linux",
        "interpreter, ns",
        "machine code, ns",
        "Linux, ns",
    ]);
    let mut ratios = Vec::new();
    for (name, repeat) in PROGRAMS {
        let mut best = [None::<Measured>; 3];
        for _ in 0..ROUNDS {
            for (slot, (engine, arguments)) in best.iter_mut().zip(ENGINES) {
                match measure(arguments, name, data, *repeat) {
                    Ok(now) => *slot = Some(slot.filter(|b| b.ns <= now.ns).unwrap_or(now)),
                    Err(why) if *engine == "Linux" => {
                        println!("skipped: Linux's figures: {why}");
                    }
                    Err(why) => return Err(format!("{name}, {engine}: {why}")),
                }
            }
        }
        let [Some(interpreter), Some(machine), linux] = best else {
            continue;
        };
        if [Some(machine), linux]
            .into_iter()
            .flatten()
            .any(|m| m.retval != interpreter.retval)
        {
            return Err(format!("{name}: the engines do not agree"));
        }
        let steps = interpreter.steps.unwrap_or(1).max(1);
        let ratio = |of: Measured| linux.map(|l| of.ns / l.ns.max(1.0));
        let cell = |r: Option<f64>| r.map_or("-".into(), |r| format!("{r:.2}"));
        if *name != "empty" {
            ratios.extend(ratio(machine));
        }
        table.row(&[
            (*name).into(),
            steps.to_string(),
            format!("{:.2}", interpreter.ns / steps as f64),
            cell(ratio(interpreter)),
            cell(ratio(machine)),
            format!("{:.0}", interpreter.ns),
            format!("{:.0}", machine.ns),
            cell(linux.map(|l| l.ns)),
        ]);
    }
    table.print();
    if !ratios.is_empty() {
        let mean = (ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len() as f64).exp();
        println!(
            "\nmachine code / Linux's JIT, geometric mean without the empty program: {mean:.2}"
        );
    }
    println!("best of {ROUNDS} rounds, engines in turn; times are the kernels' own averages a run");
    Ok(())
}
