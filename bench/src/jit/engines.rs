//! The engines: a list, and what each can do.

use panal_kernel::Engine;

use super::{kernels, native, programs::Program};

/// What runs programs: one line for each column of the table.
pub struct Entry {
    pub name: &'static str,
    /// Makes a program ready; loads it anew each time.
    pub make: fn(&Program) -> Result<Box<dyn Runner>, Missing>,
}

pub const INTERPRETER: &str = "interp";
pub const TIER_1: &str = "jit";
pub const TIER_2: &str = "opt";
pub const LINUX: &str = "Linux";
pub const NATIVE: &str = "native";

/// In the order of the table.
pub const ENGINES: &[Entry] = &[
    Entry {
        name: INTERPRETER,
        make: |program| kernels::panal(program, Engine::Interpreter),
    },
    Entry {
        name: TIER_1,
        make: |program| kernels::panal(program, Engine::MachineCode),
    },
    Entry {
        name: LINUX,
        make: kernels::linux,
    },
    Entry {
        name: NATIVE,
        make: native::make,
    },
];

/// A program on an engine.
pub trait Runner {
    /// Runs it so many times in a row.
    fn run(&mut self, repeat: u32) -> Result<Sample, String>;
}

/// What a row of runs gave.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Nanoseconds a run, on average.
    pub ns: f64,
    /// The last run's value.
    pub value: u32,
    /// Instructions of a run, where the engine counts them.
    pub steps: Option<u64>,
}

/// Why an engine does not run a program.
#[derive(Clone, Debug)]
pub enum Missing {
    /// It cannot: said, and counted as "-".
    Skipped(String),
    /// It should have: fails the row.
    Failed(String),
}
