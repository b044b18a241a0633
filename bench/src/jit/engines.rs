//! The engines: a list, and what each can do.

use panal_kernel::Engine;

use super::{kernels, native, peers, programs::Program};

/// What runs programs: one line for each column of the table.
pub struct Entry {
    pub name: &'static str,
    pub role: Role,
    /// Makes a program ready; loads it anew each time.
    pub make: fn(&Program) -> Result<Box<dyn Runner>, Missing>,
}

/// What is expected of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Another result than the first engine's fails the row.
    Held,
    /// Another result, a refusal or a crash is shown as what it is.
    Peer,
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
        role: Role::Held,
        make: |program| kernels::panal(program, Engine::Interpreter),
    },
    Entry {
        name: TIER_1,
        role: Role::Held,
        make: |program| kernels::panal(program, Engine::MachineCode),
    },
    Entry {
        name: TIER_2,
        role: Role::Held,
        make: |program| kernels::panal(program, Engine::Optimised),
    },
    Entry {
        name: LINUX,
        role: Role::Held,
        make: kernels::linux,
    },
    Entry {
        name: NATIVE,
        role: Role::Held,
        make: native::make,
    },
    Entry {
        name: peers::RBPF.name,
        role: Role::Peer,
        make: |program| peers::make(peers::RBPF, program),
    },
    Entry {
        name: peers::SBPF.name,
        role: Role::Peer,
        make: |program| peers::make(peers::SBPF, program),
    },
    Entry {
        name: peers::ASYNC_EBPF.name,
        role: Role::Peer,
        make: |program| peers::make(peers::ASYNC_EBPF, program),
    },
];

/// A program on an engine.
pub trait Runner {
    /// Runs it so many times in a row.
    fn run(&mut self, repeat: u32) -> Result<Sample, Fault>;
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

/// Why there is no sample.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The engine says that it does not run this program.
    Refused(String),
    /// It broke.
    Broken(String),
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Fault::Broken(why)
    }
}

/// Why an engine does not run a program.
#[derive(Clone, Debug)]
pub enum Missing {
    /// It cannot: said, and counted as "-".
    Skipped(String),
    /// It should have: fails the row.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jit::programs::PROGRAMS;

    /// Every engine that is no peer, once, on every program.
    #[test]
    fn engines_agree_on_every_program() {
        for program in PROGRAMS {
            let mut expected = None;
            for entry in ENGINES.iter().filter(|e| e.role == Role::Held) {
                let mut runner = match (entry.make)(program) {
                    Ok(runner) => runner,
                    Err(Missing::Skipped(why)) => {
                        println!("skipped: {}, {}: {why}", program.name, entry.name);
                        continue;
                    }
                    Err(Missing::Failed(why)) => panic!("{}, {}: {why}", program.name, entry.name),
                };
                let value = runner.run(1).map(|sample| sample.value);
                let value = value.unwrap_or_else(|why| panic!("{}: {why:?}", program.name));
                let expected = *expected.get_or_insert(value);
                assert_eq!(value, expected, "{}, {}", program.name, entry.name);
            }
        }
    }
}
