//! Rounds: every engine runs a program once in turn, so that a busy machine disturbs all alike.

use super::{
    engines::{ENGINES, Entry, Fault, Missing, Role, Runner, Sample},
    programs::Program,
};

/// How long a program runs in a row, in nanoseconds: long enough for the clock, short enough to be
/// seldom interrupted.
const RUN: f64 = 300_000.0;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often each program is loaded anew: where its code comes to lie is chance.
    pub loads: usize,
    /// Rounds for each load.
    pub rounds: usize,
}

/// What one engine did with one program.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Nanoseconds a run, and instructions where the engine counts them.
    Took { ns: f64, steps: Option<u64> },
    /// It cannot, and why.
    Missing(String),
    /// It gave another value than the others, or crashed: said how.
    Wrong(String),
}

impl Cell {
    /// Nanoseconds a run.
    pub fn ns(&self) -> Option<f64> {
        match self {
            Cell::Took { ns, .. } => Some(*ns),
            _ => None,
        }
    }
}

/// An engine under way.
struct Lane {
    runner: Box<dyn Runner>,
    repeat: u32,
    steps: Option<u64>,
    /// The least nanoseconds a run.
    least: f64,
}

/// Measures a program on all engines; a cell for each.
pub fn measure(program: &Program, effort: Effort) -> Result<Vec<Cell>, String> {
    let mut minima: Vec<Vec<f64>> = vec![Vec::new(); ENGINES.len()];
    let mut cells: Vec<Option<Cell>> = vec![None; ENGINES.len()];
    let mut steps = vec![None; ENGINES.len()];
    let mut value = None;
    for _ in 0..effort.loads {
        let mut lanes = Vec::new();
        for (index, entry) in ENGINES.iter().enumerate() {
            if cells[index].is_some() {
                continue;
            }
            match enter(program, entry, &mut value)? {
                Ok(lane) => lanes.push((index, lane)),
                Err(cell) => cells[index] = Some(cell),
            }
        }
        for _ in 0..effort.rounds {
            for (index, lane) in &mut lanes {
                match judge(program, &ENGINES[*index], lane.runner.run(lane.repeat))? {
                    Ok(sample) => lane.least = lane.least.min(sample.ns),
                    Err(cell) => cells[*index] = Some(cell),
                }
            }
            lanes.retain(|(index, _)| cells[*index].is_none());
        }
        for (index, lane) in lanes {
            minima[index].push(lane.least);
            steps[index] = lane.steps;
        }
    }
    let cell = |(index, known): (usize, Option<Cell>)| {
        known.unwrap_or_else(|| Cell::Took {
            ns: median(&mut minima[index]),
            steps: steps[index],
        })
    };
    Ok(cells.into_iter().enumerate().map(cell).collect())
}

/// Loads a program, looks at its first value, and finds out how often it runs in a row.
fn enter(
    program: &Program,
    entry: &Entry,
    value: &mut Option<u32>,
) -> Result<Result<Lane, Cell>, String> {
    let mut runner = match (entry.make)(program) {
        Ok(runner) => runner,
        Err(Missing::Skipped(why)) => return Ok(Err(Cell::Missing(why))),
        Err(Missing::Failed(why)) => return Err(fail(program, entry, &why)),
    };
    let mut first = runner.run(1);
    if let Ok(sample) = &first {
        let expected = *value.get_or_insert(sample.value);
        if sample.value != expected {
            first = Err(Fault::Broken(format!(
                "it gave {}, not {expected}",
                sample.value
            )));
        }
    }
    let first = match judge(program, entry, first)? {
        Ok(sample) => sample,
        Err(cell) => return Ok(Err(cell)),
    };
    let mut repeat = 1;
    loop {
        let ns = match judge(program, entry, runner.run(repeat))? {
            Ok(sample) => sample.ns,
            Err(cell) => return Ok(Err(cell)),
        };
        let wanted = (RUN / ns.max(0.5)).ceil();
        if f64::from(repeat) >= wanted / 2.0 {
            repeat = wanted as u32;
            break;
        }
        repeat = repeat.saturating_mul(16).min(wanted as u32);
    }
    Ok(Ok(Lane {
        runner,
        repeat: repeat.max(1),
        steps: first.steps,
        least: f64::MAX,
    }))
}

/// What a missing sample means: the row fails, or the cell says it.
fn judge(
    program: &Program,
    entry: &Entry,
    sample: Result<Sample, Fault>,
) -> Result<Result<Sample, Cell>, String> {
    match (sample, entry.role) {
        (Ok(sample), _) => Ok(Ok(sample)),
        (Err(Fault::Refused(why)), Role::Peer) => Ok(Err(Cell::Missing(why))),
        (Err(Fault::Broken(why)), Role::Peer) => Ok(Err(Cell::Wrong(why))),
        (Err(Fault::Refused(why) | Fault::Broken(why)), Role::Held) => {
            Err(fail(program, entry, &why))
        }
    }
}

fn fail(program: &Program, entry: &Entry, why: &str) -> String {
    format!("{}, {}: {why}", program.name, entry.name)
}

/// The middle one.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
