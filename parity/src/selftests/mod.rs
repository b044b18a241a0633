//! The verifier selftests of Linux 6.12 as a conformance suite: compiled from Debian's source
//! package, asked of Panal and of a Linux kernel, written up as a page.
//!
//! In three parts: the running kernel is asked itself, with its own types; and what Linux 6.12 said is
//! recorded, to a loader with every capability and to one without any, so it is compared on any
//! machine, with that kernel's types. The selftests' own
//! expectations of the log are held against Panal in the second part: log texts differ from version to
//! version, and these are 6.12's.
//!
//! Nothing of the selftests is kept in the project: they are unpacked and compiled under the
//! target folder, at the time of the run.

mod ask;
mod messages;
mod page;
mod recorded;
mod tags;
mod types;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use panal_btf::Btf;
use panal_kernel::PanalKernel;
use panal_linux::LinuxKernel;
use panal_parity::build;
use panal_uapi::{Capabilities, kernel::Kernel, profile::Profile};

use crate::objects::Verdict;
use ask::Asked;
use recorded::Recorded;
use tags::{Expectation, Loader};

/// `LINUX_VERSION_CODE` of the recorded kernel.
const LINUX_6_12: u32 = 6 << 16 | 12 << 8;

/// One program, as both kernels see it.
pub struct Case {
    /// `verifier_and`
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

    /// Whether Panal accepted what Linux rejects.
    pub fn is_false_accept(&self) -> bool {
        self.linux.word() == "reject" && self.panal.word() == "accept"
    }

    /// Whether a run returned another value than Linux's; of addresses, whether one is null and the
    /// other is not.
    pub fn returned_otherwise(&self) -> bool {
        let Some((Ok(linux), panal)) = &self.returned else {
            return false;
        };
        match panal {
            Err(_) => true,
            Ok(panal) if self.expected.returns_pointer() => (*linux == 0) != (*panal == 0),
            Ok(panal) => linux != panal,
        }
    }

    /// The first text of the selftest that Panal's log lacks; `None` when all are there or none is
    /// expected.
    pub fn missing_message(&self) -> Option<&str> {
        messages::missing(self.panal.log(), &self.expected.messages)
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

/// The parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The running kernel.
    Live,
    /// Linux 6.12, to a loader with every capability.
    Recorded,
    /// The same, to a loader without any.
    Unprivileged,
}

impl Which {
    const ALL: [Which; 3] = [Which::Live, Which::Recorded, Which::Unprivileged];

    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Which::Live => "live",
            Which::Recorded => "recorded",
            Which::Unprivileged => "unprivileged",
        }
    }
}

/// What the command line says.
struct Options {
    out: Option<PathBuf>,
    /// Only this part.
    only: Option<Which>,
    /// Only these files.
    names: Vec<String>,
}

impl Options {
    fn parse(args: &[String]) -> Options {
        let mut options = Options {
            out: None,
            only: None,
            names: Vec::new(),
        };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            match arg.as_str() {
                "--out" => options.out = rest.next().map(PathBuf::from),
                "--live" => options.only = Some(Which::Live),
                "--recorded" => options.only = Some(Which::Recorded),
                "--unprivileged" => options.only = Some(Which::Unprivileged),
                name => options.names.push(name.to_owned()),
            }
        }
        options
    }
}

/// Runs `panal-parity selftests [--live|--recorded|--unprivileged] [--out FILE] [NAME...]`.
pub fn run(args: &[String], linux: &LinuxKernel) -> ExitCode {
    let options = Options::parse(args);
    let wanted = |which: &Which| options.only.is_none_or(|only| only == *which);
    let parts = Which::ALL.into_iter().filter(wanted).map(|which| {
        let part = match which {
            Which::Live => live(linux, &options.names),
            Which::Recorded => recorded(Loader::Privileged, "linux-6.12", &options.names),
            Which::Unprivileged => recorded(
                Loader::Unprivileged,
                "linux-6.12-unprivileged",
                &options.names,
            ),
        };
        match &part {
            Ok(part) => println!("{}: {}", which.name(), page::summary(part)),
            Err(why) => println!("{}: skipped: {why}", which.name()),
        }
        (which, part)
    });
    let parts = page::Parts(parts.collect());
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
        .0
        .iter()
        .filter_map(|(_, part)| part.as_ref().ok())
        .flat_map(|part| &part.cases)
        .any(Case::is_false_accept);
    ExitCode::from(u8::from(false_accept))
}

/// The running kernel, asked itself.
fn live(linux: &LinuxKernel, names: &[String]) -> Result<Part, String> {
    let types = linux.btf().map_err(|e| e.to_string())?;
    let profile =
        Profile::new(linux.name(), linux.version(), types.clone()).with_cpus(linux.cpus());
    let (judge, runner) = (panal(&profile, true)?, panal(&profile, false)?);
    let built = build::build("running", &types, names)?;
    Ok(Part::ask(
        linux.name(),
        built,
        Loader::Privileged,
        |object| ask::live(object, linux, &judge, &runner),
    ))
}

/// Linux 6.12, as it answered once.
fn recorded(loader: Loader, answers: &str, names: &[String]) -> Result<Part, String> {
    let types: Arc<Btf> = Arc::new(types::linux_6_12()?);
    let mut profile = Profile::new("linux-6.12", LINUX_6_12, types.clone());
    if loader == Loader::Unprivileged {
        profile.capabilities = Capabilities::empty();
    }
    let (judge, runner) = (panal(&profile, true)?, panal(&profile, false)?);
    let built = build::build("linux-6.12", &types, names)?;
    let recorded = Recorded::open(answers)?;
    let kernel = match loader {
        Loader::Privileged => "linux 6.12",
        Loader::Unprivileged => "linux 6.12, unprivileged,",
    };
    Ok(Part::ask(kernel.to_owned(), built, loader, |object| {
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
        loader: Loader,
        answer: impl Fn(&Asked) -> Result<Vec<Case>, String>,
    ) -> Part {
        let mut part = Part {
            kernel,
            cases: Vec::new(),
            unopened: BTreeMap::new(),
            failed: built.failed,
        };
        for path in &built.objects {
            match Asked::open(path, loader).and_then(|asked| answer(&asked)) {
                Ok(more) => part.cases.extend(more),
                Err(why) => {
                    part.unopened.insert(ask::stem(path), why);
                }
            }
        }
        part
    }
}
