//! What the second wall costs: machine code with and without cage and budget, in one process and in
//! turn, so that a busy machine disturbs all alike.

use std::time::Duration;

use panal_kernel::{Budget, Engine, PanalKernel};

use crate::{
    jit::{
        engines::Fault,
        kernels,
        programs::{self, Program},
    },
    table::Table,
};

/// How long each program runs in a row, in nanoseconds: most rows are not interrupted then.
const ROW: f64 = 100_000.0;
const ROUNDS: usize = 150;

/// A way to run machine code.
struct Way {
    name: &'static str,
    caged: bool,
    budget: Budget,
}

const WAYS: [Way; 5] = [
    Way {
        name: "bare",
        caged: false,
        budget: Budget::UNLIMITED,
    },
    Way {
        name: "budget",
        caged: false,
        budget: Budget {
            steps: Some(1 << 40),
            time: None,
        },
    },
    Way {
        name: "time budget",
        caged: false,
        budget: Budget {
            steps: None,
            time: Some(Duration::from_secs(10)),
        },
    },
    Way {
        name: "cage",
        caged: true,
        budget: Budget::UNLIMITED,
    },
    Way {
        name: "cage, budget",
        caged: true,
        budget: Budget {
            steps: Some(1 << 40),
            time: None,
        },
    },
];

/// Prints the table.
pub fn run() -> Result<(), String> {
    let mut header = vec!["program", "bare, ns"];
    header.extend(WAYS[1..].iter().map(|way| way.name));
    let mut table = Table::new(&header);
    let mut logs = [0.0; WAYS.len()];
    for program in programs::PROGRAMS {
        let best = measure(program)?;
        let ratios = best.map(|ns| ns / best[0].max(1.0));
        for (log, ratio) in logs.iter_mut().zip(ratios) {
            *log += ratio.ln();
        }
        let mut row = vec![program.name.to_owned(), format!("{:.0}", best[0])];
        row.extend(ratios[1..].iter().map(|r| format!("{r:.2}")));
        table.row(&row);
    }
    let mean = |log: &f64| format!("{:.3}", (log / programs::PROGRAMS.len() as f64).exp());
    let mut row = vec!["mean".to_owned(), String::new()];
    row.extend(logs[1..].iter().map(mean));
    table.row(&row);
    table.print();
    println!("\nratios to bare machine code; geometric mean; best of {ROUNDS} rounds, in turn");
    Ok(())
}

/// The best average of each way, in nanoseconds a run.
fn measure(program: &Program) -> Result<[f64; WAYS.len()], String> {
    let name = program.name;
    let mut runners = Vec::new();
    for way in WAYS {
        let kernel = PanalKernel::builder()
            .engine(Engine::MachineCode)
            .caged(way.caged)
            .budget(way.budget)
            .build();
        runners.push(kernels::on(program, kernel.map_err(|e| e.to_string())?)?);
    }
    let mut best = [f64::MAX; WAYS.len()];
    let mut repeat = 100;
    for round in 0..=ROUNDS {
        for (runner, best) in runners.iter_mut().zip(&mut best) {
            match runner.run(repeat) {
                Ok(sample) => *best = best.min(sample.ns),
                Err(Fault::Refused(why) | Fault::Broken(why)) => {
                    return Err(format!("{name}: {why}"));
                }
            }
        }
        if round == 0 {
            repeat = (ROW / best[0].max(1.0)) as u32 + 1;
            best = [f64::MAX; WAYS.len()];
        }
    }
    Ok(best)
}
