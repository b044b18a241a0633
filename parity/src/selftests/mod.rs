//! The verifier selftests of Linux 6.12 as a conformance suite: compiled from Debian's source
//! package, asked of Panal and of a Linux kernel, written up as a page.
//!
//! In two parts: the running kernel is asked itself, with its own types; and what Linux 6.12 said is
//! recorded, so it is compared on any machine, with that kernel's types. The selftests' own
//! expectations of the log are held against Panal in the second part: log texts differ from version to
//! version, and these are 6.12's.
//!
//! Nothing of the selftests is kept in the project: they are unpacked and compiled under the
//! target folder, at the time of the run.

mod ask;
mod build;
mod messages;
mod page;
mod recorded;
mod tags;
mod types;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use panal_btf::Btf;
use panal_kernel::PanalKernel;
use panal_linux::LinuxKernel;
use panal_uapi::{kernel::Kernel, profile::Profile};

use crate::objects::Verdict;
use ask::Asked;
use recorded::Recorded;
use tags::Expectations;

/// `LINUX_VERSION_CODE` of the recorded kernel.
const LINUX_6_12: u32 = 6 << 16 | 12 << 8;

/// One program, as both kernels see it.
pub struct Case {
    /// `verifier_and`
    pub file: String,
    pub program: String,
    pub expected: Expectations,
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

    /// Whether Panal accepted what Linux rejects.
    pub fn is_false_accept(&self) -> bool {
        self.linux.word() == "reject" && self.panal.word() == "accept"
    }

    /// Whether a run returned another value than Linux's.
    pub fn returned_otherwise(&self) -> bool {
        self.returned
            .as_ref()
            .is_some_and(|(linux, panal)| linux.is_ok() && linux != panal)
    }

    /// The first text of the selftest that Panal's log lacks; `None` when all are there or none is
    /// expected.
    pub fn missing_message(&self) -> Option<&str> {
        messages::missing(self.panal.log(), &self.expected.privileged.messages)
    }
}

/// What came of asking about every program.
pub struct Part {
    /// Which Linux.
    pub kernel: String,
    pub cases: Vec<Case>,
    /// Objects that could not be opened, with the reason.
    pub unopened: BTreeMap<String, String>,
    /// Sources that did not compile, with the reason.
    pub failed: Vec<String>,
}

/// What the command line says.
struct Options {
    out: Option<PathBuf>,
    live: bool,
    recorded: bool,
    /// Only these files.
    names: Vec<String>,
}

impl Options {
    fn parse(args: &[String]) -> Options {
        let mut options = Options {
            out: None,
            live: true,
            recorded: true,
            names: Vec::new(),
        };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            match arg.as_str() {
                "--out" => options.out = rest.next().map(PathBuf::from),
                "--live" => options.recorded = false,
                "--recorded" => options.live = false,
                name => options.names.push(name.to_owned()),
            }
        }
        options
    }
}

/// Runs `panal-parity selftests [--live|--recorded] [--out FILE] [NAME...]`.
pub fn run(args: &[String], linux: &LinuxKernel) -> ExitCode {
    let options = Options::parse(args);
    let live = options.live.then(|| live(linux, &options.names));
    let recorded = options.recorded.then(|| recorded(&options.names));
    let parts = page::Parts { live, recorded };
    for (name, part) in parts.all() {
        match part {
            Ok(part) => println!("{name}: {}", page::summary(part)),
            Err(why) => println!("{name}: skipped: {why}"),
        }
    }
    if let Some(path) = &options.out {
        match std::fs::write(path, parts.page()) {
            Ok(()) => println!("written: {}", path.display()),
            Err(why) => {
                eprintln!("panal-parity: {}: {why}", path.display());
                return ExitCode::from(2);
            }
        }
    } else {
        print!("{}", parts.page());
    }
    let false_accept = parts
        .all()
        .into_iter()
        .filter_map(|(_, part)| part.as_ref().ok())
        .flat_map(|part| &part.cases)
        .any(Case::is_false_accept);
    ExitCode::from(u8::from(false_accept))
}

/// The running kernel, asked itself.
fn live(linux: &LinuxKernel, names: &[String]) -> Result<Part, String> {
    let types = linux.btf().map_err(|e| e.to_string())?;
    let profile = Profile::new(linux.name(), linux.version(), types.clone());
    let (judge, runner) = (panal(&profile, true)?, panal(&profile, false)?);
    let built = build::build("running", &types, names)?;
    Ok(Part::ask(linux.name(), built, |object| {
        ask::live(object, linux, &judge, &runner)
    }))
}

/// Linux 6.12, as it answered once.
fn recorded(names: &[String]) -> Result<Part, String> {
    let types: Arc<Btf> = Arc::new(types::linux_6_12()?);
    let profile = Profile::new("linux-6.12", LINUX_6_12, types.clone());
    let (judge, runner) = (panal(&profile, true)?, panal(&profile, false)?);
    let built = build::build("linux-6.12", &types, names)?;
    let recorded = Recorded::open("linux-6.12")?;
    Ok(Part::ask("linux 6.12".to_owned(), built, |object| {
        ask::recorded(object, &recorded, &judge, &runner)
    }))
}

fn panal(profile: &Profile, only: bool) -> Result<PanalKernel, String> {
    PanalKernel::builder()
        .profile(profile.clone())
        .verify_only(only)
        .build()
        .map_err(|e| e.to_string())
}

impl Part {
    fn ask(
        kernel: String,
        built: build::Built,
        answer: impl Fn(&Asked) -> Result<Vec<Case>, String>,
    ) -> Part {
        let mut part = Part {
            kernel,
            cases: Vec::new(),
            unopened: BTreeMap::new(),
            failed: built.failed,
        };
        for path in &built.objects {
            match Asked::open(path).and_then(|asked| answer(&asked)) {
                Ok(more) => part.cases.extend(more),
                Err(why) => {
                    part.unopened.insert(ask::stem(path), why);
                }
            }
        }
        part
    }
}
