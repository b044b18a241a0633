//! The same C source compiled for this CPU by clang -O2, told nothing about the CPU.

use std::process::Command;

use super::{
    compiler::{self, clang, folder, harness},
    engines::{Missing, Runner},
    process::Process,
    programs::Program,
};
use crate::command::root;

/// Compiles a program and starts it.
pub fn make(program: &Program) -> Result<Box<dyn Runner>, Missing> {
    compiler::check(program)?;
    start(program)
        .map(|process| Box::new(process) as Box<dyn Runner>)
        .map_err(Missing::Failed)
}

/// The program and its harness are compiled apart, so that no run is optimised away.
fn start(program: &Program) -> Result<Process, String> {
    let folder = folder()?;
    let executable = folder.join(program.name);
    let object = folder.join(format!("{}.o", program.name));
    clang(&object, |c| c.arg("-c").arg(root().join(program.source())))?;
    clang(&executable, |c| {
        c.arg(format!("-DPROGRAM={}", program.name))
            .arg(harness().join("main.c"))
            .arg(&object)
    })?;
    let packet = compiler::packet(program, &folder)?;
    Process::start(Command::new(&executable).arg(packet))
}
