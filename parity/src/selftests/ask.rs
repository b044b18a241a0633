//! Asks about every program of one object.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use panal_loader::{Loaded, Open};
use panal_object::{Element, Origin};
use panal_uapi::{
    ProgType,
    kernel::{Kernel, ProgFlags, TestRun},
};

use super::{
    Case,
    recorded::Recorded,
    tags::{self, Loader},
};
use crate::objects::{self, Verdict};

/// `BPF_LOG_STATS`
const LOG_STATS: u32 = 4;

/// `verifier_and` of `verifier_and.bpf.o`.
pub fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(".bpf.o").to_owned()
}

/// An object, and what its programs' tags expect.
pub struct Asked {
    /// `verifier_and`
    pub file: String,
    path: PathBuf,
    loader: Loader,
    expected: BTreeMap<String, tags::Expectations>,
}

impl Asked {
    /// Reads an object that this loader is to load.
    pub fn open(path: &Path, loader: Loader) -> Result<Asked, String> {
        let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
        let file = stem(path);
        let open = Open::parse(&bytes, &file).map_err(|e| e.to_string())?;
        Ok(Asked {
            expected: tags::read(open.object()),
            path: path.to_owned(),
            loader,
            file,
        })
    }

    /// Flags as the tags say, and a log in which to look for what they expect.
    fn prepare(&self, open: &mut Open, log: bool) {
        for plan in open.programs_mut() {
            let Some(expected) = self.expected.get(&plan.name) else {
                continue;
            };
            plan.flags |= ProgFlags::from_bits_retain(expected.flags);
            // The selftests' own runner has a log of a rejection in any case.
            let level = if expected.of(self.loader).messages.is_empty() {
                0
            } else {
                expected.log_level.max(1)
            };
            if log {
                plan.log_level = LOG_STATS | level;
            }
        }
    }

    fn verdicts(&self, kernel: &dyn Kernel, log: bool) -> Result<Vec<(String, Verdict)>, String> {
        objects::verdicts_with(kernel, &self.path, &|open| self.prepare(open, log))
    }

    fn case(&self, program: String, linux: Verdict, panal: Verdict) -> Case {
        Case {
            file: self.file.clone(),
            expected: self
                .expected
                .get(&program)
                .map(|expected| expected.of(self.loader))
                .unwrap_or_default(),
            program,
            linux,
            panal,
            returned: None,
        }
    }

    /// Loads one program and runs it on 64 zero bytes, as the selftests' own runner does; one that is
    /// a system call's, on nothing.
    /// With `filled`, maps are filled as that runner fills them.
    fn execute(&self, kernel: &dyn Kernel, program: &str, filled: bool) -> Result<u32, String> {
        let bytes = std::fs::read(&self.path).map_err(|e| e.to_string())?;
        let mut open = Open::parse(&bytes, &self.file).map_err(|e| e.to_string())?;
        open.without_pins();
        self.prepare(&mut open, false);
        open.only(program).map_err(|e| e.to_string())?;
        load_called(&mut open);
        let loaded = open
            .prepare(kernel)
            .and_then(|p| p.load())
            .map_err(|e| e.to_string())?;
        if filled {
            fill(&self.file, kernel, &loaded)?;
        }
        let program = loaded.program(program).map_err(|e| e.to_string())?;
        let run = match program.plan.prog_type {
            Some(ProgType::Syscall) => TestRun::default(),
            _ => TestRun {
                data_in: vec![0; 64],
                repeat: 1,
                ..TestRun::default()
            },
        };
        let result = kernel
            .prog_test_run(&program.fd, &run)
            .map_err(|e| e.to_string())?;
        match result.stopped {
            Some(why) => Err(why),
            None => Ok(result.retval),
        }
    }
}

/// Loads what stands in the object's prog arrays from the start, too.
fn load_called(open: &mut Open) {
    let object = open.object().clone();
    let called = |id| {
        object.maps().iter().any(|map| match &map.origin {
            Origin::Defined(elements) => elements.iter().any(|(_, e)| *e == Element::Program(id)),
            _ => false,
        })
    };
    for plan in open.programs_mut() {
        plan.load |= called(plan.id);
    }
}

/// Fills the maps that the selftests' own runner fills: a number of bytes, and a value so far in.
fn fill(file: &str, kernel: &dyn Kernel, loaded: &Loaded) -> Result<(), String> {
    let map = match file {
        "verifier_array_access" => "map_array_ro",
        "verifier_value_ptr_arith" => "map_array_48b",
        _ => return Ok(()),
    };
    const WORDS: usize = 12;
    let mut value = [0u32; WORDS];
    value[0] = 7 * 4;
    value[7] = 0xabcd_ef12;
    let value: Vec<u8> = value.into_iter().flat_map(u32::to_ne_bytes).collect();
    let map = loaded.map(map).map_err(|e| e.to_string())?;
    kernel
        .map_update(&map.fd, &[0; 4], &value, 0)
        .map_err(|e| e.to_string())
}

fn both_accept(case: &Case) -> bool {
    matches!(
        (&case.linux, &case.panal),
        (Verdict::Accept { .. }, Verdict::Accept { .. })
    )
}

/// Asks both kernels.
pub fn live(
    asked: &Asked,
    linux: &dyn Kernel,
    judge: &dyn Kernel,
    runner: &dyn Kernel,
) -> Result<Vec<Case>, String> {
    let theirs = asked.verdicts(linux, false)?;
    let ours = asked.verdicts(judge, false)?;
    let mut cases = Vec::new();
    for ((program, linux_says), (_, panal_says)) in theirs.into_iter().zip(ours) {
        let mut case = asked.case(program, linux_says, panal_says);
        if both_accept(&case) && case.expected.retval.is_some() {
            let run = |kernel| asked.execute(kernel, &case.program, true);
            case.returned = Some((run(linux), run(runner)));
        }
        cases.push(case);
    }
    Ok(cases)
}

/// Asks Panal, and looks up what Linux said.
pub fn recorded(
    asked: &Asked,
    recorded: &Recorded,
    judge: &dyn Kernel,
    runner: &dyn Kernel,
) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for (program, panal_says) in asked.verdicts(judge, true)? {
        let Some(answer) = recorded.of(&asked.file, &program) else {
            continue;
        };
        let linux_says = match answer.errno {
            None => Verdict::Accept {
                stats: None,
                log: String::new(),
            },
            Some(errno) => Verdict::Reject {
                errno,
                log: errno.to_string(),
            },
        };
        let mut case = asked.case(program, linux_says, panal_says);
        // What a run returns is compared where the selftest says what it should be; the maps were
        // empty then.
        if both_accept(&case)
            && let Some(retval) = answer.retval
            && case.expected.returns().is_some()
        {
            case.returned = Some((Ok(retval), asked.execute(runner, &case.program, false)));
        }
        cases.push(case);
    }
    Ok(cases)
}
