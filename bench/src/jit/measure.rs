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
    /// Which of [`ENGINES`] run: a bit for each.
    pub engines: u32,
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
    index: usize,
    runner: Box<dyn Runner>,
    repeat: u32,
}

/// A program that is being measured.
struct Measurement<'a> {
    program: &'a Program,
    /// What every engine must give.
    value: Option<u32>,
    /// Of each of [`ENGINES`], so far.
    cells: Vec<Option<Cell>>,
}

/// Measures programs on all engines: for each, a cell for each engine, or why it failed. Everything is
/// loaded anew so many times, all programs in turn, so that a slow minute hits none alone.
pub fn measure(programs: &[&Program], effort: Effort) -> Vec<Result<Vec<Cell>, String>> {
    let begin = |&program| {
        Ok(Measurement {
            program,
            value: None,
            cells: vec![None; ENGINES.len()],
        })
    };
    let mut all: Vec<Result<Measurement<'_>, String>> = programs.iter().map(begin).collect();
    for load in 1..=effort.loads {
        for one in &mut all {
            let Ok(measurement) = one else { continue };
            let name = measurement.program.name;
            eprint!("\r\x1b[K{load}/{} {name}", effort.loads);
            if let Err(why) = measurement.pass(effort) {
                *one = Err(why);
            }
        }
    }
    eprint!("\r\x1b[K");
    let missing = || Cell::Missing("it was not measured".to_owned());
    let end = |measurement: Measurement<'_>| {
        let cells = measurement.cells.into_iter();
        cells.map(|cell| cell.unwrap_or_else(missing)).collect()
    };
    all.into_iter().map(|one| one.map(end)).collect()
}

impl Measurement<'_> {
    /// Loads the program into every engine that can still run it, and does the rounds.
    fn pass(&mut self, effort: Effort) -> Result<(), String> {
        let mut lanes = Vec::new();
        for (index, entry) in ENGINES.iter().enumerate() {
            let out = matches!(self.cells[index], Some(Cell::Missing(_) | Cell::Wrong(_)));
            if out || effort.engines >> index & 1 == 0 {
                continue;
            }
            match enter(self.program, entry, &mut self.value)? {
                Ok((runner, first)) => {
                    let repeat = self.pace(index, runner, first)?;
                    lanes.extend(repeat);
                }
                Err(cell) => self.cells[index] = Some(cell),
            }
        }
        for _ in 0..effort.rounds {
            let mut left = Vec::new();
            for mut lane in lanes {
                if self.round(&mut lane)?.is_some() {
                    left.push(lane);
                }
            }
            lanes = left;
        }
        Ok(())
    }

    /// Finds out how often an engine runs the program in a row.
    fn pace(
        &mut self,
        index: usize,
        runner: Box<dyn Runner>,
        first: Sample,
    ) -> Result<Option<Lane>, String> {
        let mut lane = Lane {
            index,
            runner,
            repeat: 1,
        };
        self.keep(index, first);
        loop {
            let Some(sample) = self.round(&mut lane)? else {
                return Ok(None);
            };
            let wanted = (RUN / sample.ns.max(0.5)).ceil();
            if f64::from(lane.repeat) >= wanted / 2.0 {
                lane.repeat = (wanted as u32).max(1);
                return Ok(Some(lane));
            }
            lane.repeat = lane.repeat.saturating_mul(16).min(wanted as u32);
        }
    }

    /// One row of runs; `None` where the engine is out of it.
    fn round(&mut self, lane: &mut Lane) -> Result<Option<Sample>, String> {
        let entry = &ENGINES[lane.index];
        let sample = lane.runner.run(lane.repeat);
        let sample = match self.program.drifts {
            true => sample,
            false => agree(sample, self.value),
        };
        match judge(self.program, entry, sample)? {
            Ok(sample) => {
                self.keep(lane.index, sample);
                Ok(Some(sample))
            }
            Err(cell) => {
                self.cells[lane.index] = Some(cell);
                Ok(None)
            }
        }
    }

    /// The least time counts.
    fn keep(&mut self, index: usize, sample: Sample) {
        let before = self.cells[index].as_ref().and_then(Cell::ns);
        self.cells[index] = Some(Cell::Took {
            ns: before.map_or(sample.ns, |before| before.min(sample.ns)),
            steps: sample.steps,
        });
    }
}

/// A loaded program and its first sample, or the cell that says why there is none.
type Entered = Result<(Box<dyn Runner>, Sample), Cell>;

/// Loads a program, and looks at its first value.
fn enter(program: &Program, entry: &Entry, value: &mut Option<u32>) -> Result<Entered, String> {
    let mut runner = match (entry.make)(program) {
        Ok(runner) => runner,
        Err(Missing::Skipped(why)) => return Ok(Err(Cell::Missing(why))),
        Err(Missing::Failed(why)) => return Err(fail(program, entry, &why)),
    };
    let first = agree(runner.run(1), *value);
    let first = judge(program, entry, first)?;
    if let Ok(sample) = &first {
        *value = Some(sample.value);
    }
    Ok(first.map(|sample| (runner, sample)))
}

/// A sample with another value than the one expected is none.
fn agree(sample: Result<Sample, Fault>, expected: Option<u32>) -> Result<Sample, Fault> {
    match (&sample, expected) {
        (Ok(Sample { value, .. }), Some(expected)) if *value != expected => {
            Err(Fault::Broken(format!("it gave {value}, not {expected}")))
        }
        _ => sample,
    }
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
