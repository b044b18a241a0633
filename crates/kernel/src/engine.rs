//! What runs programs: the interpreter, or machine code where this machine has it.

use panal_vm::{Executable, Outcome, Run};

/// What runs programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// Every access is confined to the cage.
    #[default]
    Interpreter,
    /// Machine code: trusts the verifier's proof. Where there is none (another CPU, no executable
    /// memory), programs are interpreted.
    MachineCode,
}

impl Engine {
    /// Makes a program ready. A program that has no machine code is still interpreted; why is
    /// told for the log.
    pub(crate) fn prepare(self, executable: &mut Executable) -> Option<String> {
        match self {
            Engine::Interpreter => None,
            Engine::MachineCode => compile(executable),
        }
    }

    /// Runs a program with its context.
    pub(crate) fn run(self, executable: &Executable, run: &mut Run, context: u64) -> Outcome {
        match self {
            Engine::Interpreter => executable.run(run, context),
            Engine::MachineCode => run_compiled(executable, run, context),
        }
    }

    /// Whether the run's budget counts every instruction.
    pub(crate) fn counts_steps(self) -> bool {
        self == Engine::Interpreter
    }
}

#[cfg(all(target_arch = "x86_64", unix))]
fn compile(executable: &mut Executable) -> Option<String> {
    let result = executable.compile(panal_vm::JitOptions::host());
    result
        .err()
        .map(|why| format!("interpreted, because {why}"))
}

#[cfg(all(target_arch = "x86_64", unix))]
fn run_compiled(executable: &Executable, run: &mut Run, context: u64) -> Outcome {
    executable.run_compiled(run, context)
}

#[cfg(not(all(target_arch = "x86_64", unix)))]
fn compile(_: &mut Executable) -> Option<String> {
    Some("interpreted, because there is no machine code for this CPU".to_owned())
}

#[cfg(not(all(target_arch = "x86_64", unix)))]
fn run_compiled(executable: &Executable, run: &mut Run, context: u64) -> Outcome {
    executable.run(run, context)
}
