//! Loading an object to run it; a program that is rejected is reported here.

use panal_loader::{Error, Loaded, Open, ProgramPlan};
use panal_uapi::kernel::Kernel;

use crate::{
    REJECTED,
    error::Problem,
    output,
    verdict::{Outcome, Program},
};

/// Hands the programs that were chosen to a kernel.
pub fn load<'k>(
    open: Open,
    kernel: &'k dyn Kernel,
    file: &str,
    json: bool,
) -> Result<Loaded<'k>, Problem> {
    let plans = open.programs().to_vec();
    let loaded = open.prepare(kernel).and_then(|prepared| prepared.load());
    loaded.map_err(|error| match error {
        Error::Rejected(rejected) => {
            let plan = plans.iter().find(|plan| plan.name == rejected.program);
            match plan.map(|plan| report(file, plan, rejected, json)) {
                Some(Err(problem)) => problem,
                _ => Problem::Reported(REJECTED),
            }
        }
        error => problem(file, error),
    })
}

/// An error of the loader about this file.
pub fn problem(file: &str, error: Error) -> Problem {
    Problem::Load {
        file: file.to_owned(),
        error: Box::new(error),
    }
}

fn report(
    file: &str,
    plan: &ProgramPlan,
    rejected: Box<panal_loader::Rejected>,
    json: bool,
) -> Result<(), Problem> {
    let program = Program {
        file,
        plan,
        instructions: None,
        logged: false,
        explained: false,
    };
    let outcome = Outcome::Rejected(rejected);
    if json {
        let mut out = output::stdout();
        program.print(&outcome, true, &mut out)?;
        return output::finish(out);
    }
    // What the program would have printed goes to standard output; this is not it.
    program
        .print(&outcome, false, &mut anstream::stderr())
        .map(|_| ())
}
