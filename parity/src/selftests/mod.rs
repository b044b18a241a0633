//! The verifier selftests of Linux 6.12 as a conformance suite: compiled from Debian's source
//! package, asked of both kernels, written up as a page.
//!
//! Nothing of the selftests is kept in the project: they are unpacked and compiled under the
//! target folder, at the time of the run.

mod build;
mod page;
mod tags;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use panal_loader::Open;
use panal_uapi::kernel::{Kernel, ProgFlags, TestRun};

use crate::objects::{self, Verdict};
use tags::Expectation;

/// One program, as both kernels see it.
pub struct Case {
    pub file: String,
    pub program: String,
    pub expected: Expectation,
    pub linux: Verdict,
    pub panal: Verdict,
    /// What a run returned on each kernel, where the selftest says what it should.
    pub returned: Option<(Result<u32, String>, Result<u32, String>)>,
}

impl Case {
    /// Whether both decided, and alike.
    pub fn agrees(&self) -> bool {
        self.linux.word() == self.panal.word()
    }

    /// Whether Linux decided.
    pub fn decided(&self) -> bool {
        !matches!(self.linux, Verdict::Error(_))
    }
}

/// The kernels that are asked.
pub struct Kernels<'k> {
    pub linux: &'k dyn Kernel,
    /// With Linux's types; only verifies.
    pub judge: &'k dyn Kernel,
    /// With Linux's types; runs.
    pub runner: &'k dyn Kernel,
}

/// Runs `panal-parity selftests [--out FILE] [NAME...]`.
pub fn run(args: &[String], kernels: &Kernels<'_>) -> ExitCode {
    let mut out = None;
    let mut names = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--out" => out = rest.next().map(PathBuf::from),
            name => names.push(name.to_owned()),
        }
    }
    let built = match build::build(kernels.linux, &names) {
        Ok(built) => built,
        Err(why) => {
            println!("skipped: {why}");
            return ExitCode::SUCCESS;
        }
    };
    let mut cases = Vec::new();
    let mut unopened = BTreeMap::new();
    for object in &built.objects {
        match ask(object, kernels) {
            Ok(more) => cases.extend(more),
            Err(why) => {
                unopened.insert(file_name(object), why);
            }
        }
    }
    let page = page::page(&kernels.linux.name(), &cases, &unopened, &built.failed);
    match out {
        Some(path) => match std::fs::write(&path, page) {
            Ok(()) => println!("written: {}", path.display()),
            Err(why) => {
                eprintln!("panal-parity: {}: {why}", path.display());
                return ExitCode::from(2);
            }
        },
        None => print!("{page}"),
    }
    println!("{}", page::summary(&cases));
    let false_accept = cases
        .iter()
        .any(|c| c.decided() && c.linux.word() == "reject" && c.panal.word() == "accept");
    ExitCode::from(u8::from(false_accept))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Asks both kernels about every program of an object.
fn ask(path: &Path, kernels: &Kernels<'_>) -> Result<Vec<Case>, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let name = file_name(path);
    let open = Open::parse(&bytes, &name).map_err(|e| e.to_string())?;
    let expectations = tags::read(open.object());
    let prepare = |open: &mut Open| {
        for plan in open.programs_mut() {
            if let Some(expected) = expectations.get(&plan.name) {
                plan.flags |= ProgFlags::from_bits_retain(expected.flags);
            }
        }
    };
    let linux = objects::verdicts_with(kernels.linux, path, &prepare)?;
    let panal = objects::verdicts_with(kernels.judge, path, &prepare)?;
    let mut cases = Vec::new();
    for ((program, linux), (_, panal)) in linux.into_iter().zip(panal) {
        let expected = expectations.get(&program).cloned().unwrap_or_default();
        // Programs without expectations are callees of others, or targets of their own tests.
        let both = matches!((&linux, &panal), (Verdict::Accept(_), Verdict::Accept(_)));
        let returned = (both && expected.retval.is_some()).then(|| {
            let run = |kernel| execute(kernel, path, &program, &prepare);
            (run(kernels.linux), run(kernels.runner))
        });
        cases.push(Case {
            file: name.clone(),
            program,
            expected,
            linux,
            panal,
            returned,
        });
    }
    Ok(cases)
}

/// Loads one program and runs it on 64 zero bytes, as the selftests' own runner does.
fn execute(
    kernel: &dyn Kernel,
    path: &Path,
    program: &str,
    prepare: &dyn Fn(&mut Open),
) -> Result<u32, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let mut open = Open::parse(&bytes, &file_name(path)).map_err(|e| e.to_string())?;
    open.without_pins();
    prepare(&mut open);
    open.only(program).map_err(|e| e.to_string())?;
    let loaded = open
        .prepare(kernel)
        .and_then(|p| p.load())
        .map_err(|e| e.to_string())?;
    let program = loaded.program(program).map_err(|e| e.to_string())?;
    let run = TestRun {
        data_in: vec![0; 64],
        repeat: 1,
        ..TestRun::default()
    };
    let result = kernel
        .prog_test_run(&program.fd, &run)
        .map_err(|e| e.to_string())?;
    match result.stopped {
        Some(why) => Err(why),
        None => Ok(result.retval),
    }
}
