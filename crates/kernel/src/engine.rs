//! What runs programs: the interpreter, or machine code where this machine has it.

use std::hash::{BuildHasher, RandomState};

use panal_maps::Cage;
use panal_vm::{CageShape, Executable, JitOptions};

use crate::kernel::Config;

/// What runs programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// Every access is confined to the cage.
    #[default]
    Interpreter,
    /// Machine code. It trusts the verifier's proof, or confines every access to the cage if the
    /// kernel is told so. Where there is none (another CPU, no executable memory), programs are
    /// interpreted.
    MachineCode,
    /// Machine code by the optimiser, for hot programs: compiling takes longer. It trusts the
    /// verifier's proof. What the optimiser does not take, and every program of a kernel that
    /// confines accesses, is compiled as [`Engine::MachineCode`]: why is told.
    Optimised,
}

impl Engine {
    /// All engines, and what commands call them.
    pub const ALL: [(&str, Engine); 3] = [
        ("interp", Engine::Interpreter),
        ("jit", Engine::MachineCode),
        ("opt", Engine::Optimised),
    ];

    /// What commands call it.
    pub fn name(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(_, engine)| *engine == self)
            .map_or("", |(name, _)| name)
    }

    /// Makes a program ready. A program that has no machine code is interpreted; why is told.
    pub(crate) fn prepare(
        config: &Config,
        cage: &Cage,
        executable: &mut Executable,
    ) -> Option<String> {
        match config.engine {
            Engine::Interpreter => None,
            Engine::MachineCode | Engine::Optimised => compile(config, cage, executable),
        }
    }

    /// Whether it is machine code that runs, where a program has it.
    pub(crate) fn is_compiled(self) -> bool {
        self != Engine::Interpreter
    }

    /// What runs this program, by the name that users have for it.
    pub(crate) fn runs(self, executable: &Executable) -> &'static str {
        let runs = match self {
            _ if executable.machine_code_len().is_none() => Engine::Interpreter,
            Engine::Optimised if executable.not_optimised().is_some() => Engine::MachineCode,
            engine => engine,
        };
        runs.name()
    }

    /// Whether the run's budget counts every instruction.
    pub(crate) fn counts_steps(self) -> bool {
        self == Engine::Interpreter
    }
}

fn compile(config: &Config, cage: &Cage, executable: &mut Executable) -> Option<String> {
    let shape = CageShape::new(cage.base(), cage.size());
    if config.caged && shape.is_none() {
        return Some("the cage has no shape that machine code can keep to".to_owned());
    }
    let host = match config.baseline {
        true => JitOptions::baseline(),
        false => JitOptions::host(),
    };
    let options = JitOptions {
        optimise: config.engine == Engine::Optimised,
        budget: config.budget.is_limited(),
        steps: config.budget.steps(),
        cage: shape.filter(|_| config.caged),
        chance: RandomState::new().hash_one(executable.name()),
        ..host
    };
    Some(executable.compile(options).err()?.to_string())
}
