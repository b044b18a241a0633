//! What runs programs: the interpreter, or machine code where this machine has it.

use panal_maps::Cage;
use panal_vm::{CageShape, Executable, JitOptions, Outcome, Run};

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
}

impl Engine {
    /// Makes a program ready. A program that has no machine code is interpreted; why is told.
    pub(crate) fn prepare(
        config: &Config,
        cage: &Cage,
        executable: &mut Executable,
    ) -> Option<String> {
        match config.engine {
            Engine::Interpreter => None,
            Engine::MachineCode => compile(config, cage, executable),
        }
    }

    /// Runs a program with its context.
    pub(crate) fn run(self, executable: &Executable, run: &mut Run, context: u64) -> Outcome {
        match self {
            Engine::Interpreter => executable.run(run, context),
            Engine::MachineCode => executable.run_compiled(run, context),
        }
    }

    /// What runs this program, by the name that users have for it.
    pub(crate) fn runs(self, executable: &Executable) -> &'static str {
        match self {
            Engine::MachineCode if executable.machine_code_len().is_some() => "jit",
            _ => "interp",
        }
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
        budget: config.budget.is_limited(),
        steps: config.budget.steps(),
        cage: shape.filter(|_| config.caged),
        ..host
    };
    Some(executable.compile(options).err()?.to_string())
}
