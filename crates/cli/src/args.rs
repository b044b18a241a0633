//! The command line.

use std::{ffi::OsString, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use panal_kernel::Budget;

mod objects;

use objects::{BTF_EXAMPLES, LINK_EXAMPLES, MAP_EXAMPLES, PROG_EXAMPLES};
pub use objects::{BtfCommand, Format, LinkCommand, MapCommand, Objects, ProgCommand, Where};

use crate::{
    feed::FeedArg,
    map_args::{MapArg, VarArg},
    place_args::PlaceArgs,
    sample::SampleArg,
};

/// Where subcommands take words.
const WORDS: &str = "Commands (--help of each has its words)";

const EXIT_CODES: &str = "Exit codes: 0 done, 1 a program was rejected, 2 could not try.";

#[derive(Parser)]
#[command(
    name = "panal",
    version,
    about = "eBPF in user space: verify, run and look into programs, without root"
)]
#[command(after_help = EXIT_CODES)]
pub struct Cli {
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Makes every stream of the command follow the choice.
    pub fn apply(self) {
        match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Say of every program in the objects whether it is safe, and if not, why
    Verify(Verify),
    /// Run an object's programs on the packets of a capture, or on what a command does
    Run(Box<Run>),
    /// List, print, load, pin and run programs
    #[command(disable_help_subcommand = true, after_help = PROG_EXAMPLES, subcommand_help_heading = WORDS)]
    Prog {
        #[command(subcommand)]
        command: ProgCommand,
    },
    /// List maps, read and change what they hold
    #[command(disable_help_subcommand = true, after_help = MAP_EXAMPLES, subcommand_help_heading = WORDS)]
    Map {
        #[command(subcommand)]
        command: MapCommand,
    },
    /// List what programs are attached to, and detach them
    #[command(disable_help_subcommand = true, after_help = LINK_EXAMPLES, subcommand_help_heading = WORDS)]
    Link {
        #[command(subcommand)]
        command: LinkCommand,
    },
    /// List and print types
    #[command(disable_help_subcommand = true, after_help = BTF_EXAMPLES, subcommand_help_heading = WORDS)]
    Btf {
        #[command(subcommand)]
        command: BtfCommand,
    },
    /// Keep an instance of Panal's kernel, for others to load into, until it is ended
    Serve(Serve),
    /// Look into an object without loading it
    Dump(Dump),
    /// Say what a kernel has: program types, map types, helpers, instructions, kernel functions
    Feature(Feature),
    /// Keep what the running kernel has in a file, to verify for it elsewhere
    #[command(disable_help_subcommand = true)]
    Profile {
        #[command(subcommand)]
        command: ProfileCommand,
    },
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  panal completions bash > ~/.local/share/bash-completion/completions/panal\n  panal completions zsh > ~/.zfunc/_panal"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Which kernel is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KernelName {
    /// Panal's own, in this process
    Panal,
    /// The running Linux kernel, by bpf(2)
    Linux,
}

/// A program of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetArg {
    pub object: PathBuf,
    pub program: String,
}

impl FromStr for TargetArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once(':') {
            Some((object, program)) if !object.is_empty() && !program.is_empty() => Ok(TargetArg {
                object: object.into(),
                program: program.to_owned(),
            }),
            _ => Err("expected OBJ:PROGRAM".to_owned()),
        }
    }
}

const FEATURE_EXAMPLES: &str = "Examples:
  sudo panal feature
  sudo panal feature --json | jq .helpers.xdp_available_helpers
  panal feature --kernel panal

Answers are yes, no, or why it could not be told. JSON has bpftool's keys, and null where it could not
be told; `reasons` says why.

Exit codes: 0 asked, 2 could not ask.";

#[derive(Args)]
#[command(after_help = FEATURE_EXAMPLES)]
pub struct Feature {
    /// Which kernel is asked
    #[arg(long, value_enum, default_value_t = KernelName::Linux, value_name = "KERNEL")]
    pub kernel: KernelName,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

const CAPTURE_EXAMPLES: &str = "Examples:
  sudo panal profile capture server.profile
  panal verify --profile server.profile prog.bpf.o     # on any machine
  sudo panal profile capture --without-types small.profile

Exit codes: 0 written, 2 could not.";

const SHOW_EXAMPLES: &str = "Examples:
  panal profile show server.profile
  panal profile show --json server.profile | jq .program_types";

#[derive(Subcommand)]
pub enum ProfileCommand {
    /// Write what the running Linux kernel has into a file
    #[command(after_help = CAPTURE_EXAMPLES)]
    Capture {
        /// The file to write
        #[arg(value_name = "FILE", default_value = "linux.profile")]
        file: PathBuf,
        /// Leave the kernel's types out: a file of some 6 KB
        #[arg(long)]
        without_types: bool,
    },
    /// Print what a file says
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// A file of `panal profile capture`
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

const VERIFY_EXAMPLES: &str = "Examples:
  panal verify examples/*.bpf.o
  panal verify --program firewall --json examples/firewall.bpf.o
  panal verify --profile host /usr/lib/bpf/xdp_filter.o
  panal verify tracer.bpf.o --target /usr/lib/bpf/xdp_pass.o:xdp_pass
  panal verify --explain prog.bpf.o      # with what is known along the path of a rejection
  panal verify --sarif *.bpf.o > panal.sarif    # for code hosts
  panal verify --log 2 prog.bpf.o        # with the log that Linux would print

Exit codes: 0 all accepted, 1 one was rejected, 2 one could not be tried.";

#[derive(Args)]
#[command(after_help = VERIFY_EXAMPLES)]
pub struct Verify {
    /// The object files
    #[arg(value_name = "OBJ", required = true)]
    pub objects: Vec<PathBuf>,
    /// Only the program of this name
    #[arg(long, value_name = "NAME")]
    pub program: Option<String>,
    /// The kernel that is meant: panal, unprivileged, host (the running Linux), linux-6.12,
    /// linux-6.18, a file of `panal profile capture`, or a file of a kernel's BTF [default: panal]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Who decides
    #[arg(long, value_enum, default_value_t = KernelName::Panal, value_name = "KERNEL")]
    pub kernel: KernelName,
    /// The program that fentry, fexit and freplace programs are for, when it is no kernel function
    #[arg(long, value_name = "OBJ:PROGRAM")]
    pub target: Option<TargetArg>,
    /// Print the log in Linux's form: 1 the essential, 2 every instruction, 4 only figures, or a sum
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u32).range(1..=7))]
    pub log: Option<u32>,
    /// Print the path of each rejection: every instruction, and what it changed of what is known
    #[arg(long)]
    pub explain: bool,
    /// Print one JSON object for each program
    #[arg(long)]
    pub json: bool,
    /// Print rejections as one SARIF 2.1.0 document, as code hosts read it
    #[arg(long, conflicts_with_all = ["json", "explain", "log"])]
    pub sarif: bool,
}

const RUN_EXAMPLES: &str = "Examples:
  panal run examples/opensnoop.bpf.o -- ls /etc
  panal run examples/opensnoop.bpf.o --json --output opens.json -- make
  panal run examples/guard.bpf.o --map peers=10.0.0.0/8:1 -- npm install
  panal run examples/firewall.bpf.o --pcap in.pcap --out out.pcap --map blocklist4=203.0.113.0/24:0
  sudo panal run --kernel linux examples/opensnoop.bpf.o -- ls /etc
  sudo panal run --kernel linux examples/syscall_latency.bpf.o --pid 4711 --duration 10
  panal run orders.bpf.o --feed orders=orders.txt -- ./shop
  sudo panal run --kernel linux examples/firewall.bpf.o --interface eth0 --map 'limits=0:{rate=100,burst=20}'

Records of ring buffers and perf buffers are printed as they come, as a table: their type is the
struct that the map declares as its value, or else the one called as the map without its final `s`,
or else `struct event`. At the end, maps whose values have an array called `slots` are printed as
histograms, and those tagged with __attribute__((btf_decl_tag(\"print\"))) element by element.

On Linux the programs are attached to the running kernel, and detached when the command's whole
process tree has ended; without a command, at SIGINT, SIGTERM or the end of --duration. Tracing
programs see only the command and what it starts, or --pid; otherwise all processes. Programs on
cgroups hang at the command's, or at --cgroup; those on the network at what the options name.

Exit codes: once a command runs, its own, and 128 + N if signal N killed it; otherwise 0 done, 1 a
program was rejected, 2 it could not be tried. With --json the last line tells them apart: a
`command` with its `exit_code` or `signal`, a `verdict`, or an `error`.";

/// Seconds, with decimals.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

#[derive(Args)]
#[command(
    after_help = RUN_EXAMPLES,
    group = clap::ArgGroup::new("events").args(["pcap", "command"])
)]
pub struct Run {
    /// The object file
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,
    /// Only the program of this name; can be given many times
    #[arg(long = "program", value_name = "NAME")]
    pub programs: Vec<String>,
    /// Run over the packets of this capture (pcap or pcapng)
    #[arg(long, value_name = "IN")]
    pub pcap: Option<PathBuf>,
    /// Where to write the packets that were not dropped, as the programs left them
    // `requires` alone says nothing when there is a command, as that excludes `--pcap`.
    #[arg(
        long,
        value_name = "OUT",
        requires = "pcap",
        conflicts_with = "command"
    )]
    pub out: Option<PathBuf>,
    /// Set an element of a map first
    #[arg(long = "map", value_name = "NAME=KEY:VALUE", long_help = MAP_HELP)]
    pub maps: Vec<MapArg>,
    /// Set a global variable first, as the program's source names it
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub variables: Vec<VarArg>,
    /// Write the lines of a file, or of standard input (-), into a user ring buffer
    #[arg(long = "feed", value_name = "MAP=FILE", long_help = FEED_HELP)]
    pub feeds: Vec<FeedArg>,
    #[command(flatten)]
    pub execution: Execution,
    /// Which kernel runs them
    #[arg(long, value_enum, default_value_t = KernelName::Panal, value_name = "KERNEL", conflicts_with = "pcap")]
    pub kernel: KernelName,
    /// On Linux: tracing programs see only this process
    #[arg(long, value_name = "PID", conflicts_with_all = ["command", "system_wide"])]
    pub pid: Option<u32>,
    /// On Linux: tracing programs see every process, not only the command and what it starts
    #[arg(long)]
    pub system_wide: bool,
    /// On Linux: what `perf_event` programs sample, as EVENT, EVENT@FREQUENCY or EVENT:PERIOD
    /// [default: cpu-clock]
    #[arg(long, value_name = "EVENT", long_help = SAMPLE_HELP)]
    pub sample: Option<SampleArg>,
    /// On Linux: what iterators go through: map=NAME, cgroup=PATH, or the threads of --pid
    #[arg(long, value_name = "WHAT")]
    pub iterate: Option<IterateArg>,
    /// On Linux, without a command: how many seconds until the end
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "command")]
    pub duration: Option<Duration>,
    /// Write events to this file instead of standard output, where the command writes, too
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub places: PlaceArgs,
    /// The command to run, with its arguments
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

const PROG_RUN_EXAMPLES: &str = "Examples:
  panal prog run xdp.bpf.o --program firewall --data-in packet.bin
  panal prog run xdp.bpf.o --program firewall --data-in packet.bin --data-out out.bin --repeat 1000 --json
  panal prog run xdp.bpf.o --program firewall --data-in packet.bin --map blocked=10.0.0.0/8:1

Exit codes: 0 it ran, 1 it was rejected, 2 it could not be tried.";

#[derive(Args)]
#[command(after_help = PROG_RUN_EXAMPLES)]
pub struct ProgRun {
    /// The object file; or a loaded program, then data_in FILE and so on, as bpftool has it
    #[arg(value_name = "OBJ|PROG", required = true)]
    pub object: Vec<String>,
    /// The program of the object to run, where it has several
    #[arg(long, value_name = "NAME")]
    pub program: Option<String>,
    /// Of a loaded program: only the instance of Panal's kernel in this process
    #[arg(long, value_name = "PID")]
    pub instance: Option<u32>,
    /// File with the packet or the arguments; - is standard input
    #[arg(long, value_name = "FILE")]
    pub data_in: Option<PathBuf>,
    /// Where to write the packet as the program left it; - is standard output
    #[arg(long, value_name = "FILE")]
    pub data_out: Option<PathBuf>,
    /// File with the context, as the kernel's uapi defines it; - is standard input
    #[arg(long, value_name = "FILE")]
    pub ctx_in: Option<PathBuf>,
    /// Where to write the context as the program left it; - is standard output
    #[arg(long, value_name = "FILE")]
    pub ctx_out: Option<PathBuf>,
    /// How often to run it; the duration is the average [default: 1]
    #[arg(long, value_name = "N")]
    pub repeat: Option<u32>,
    #[command(flatten)]
    pub execution: Execution,
    /// Set an element of a map first
    #[arg(long = "map", value_name = "NAME=KEY:VALUE", long_help = MAP_HELP)]
    pub maps: Vec<MapArg>,
    /// Set a global variable first, as the program's source names it
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub variables: Vec<VarArg>,
    /// Which kernel runs it
    #[arg(long, value_enum, default_value_t = KernelName::Panal, value_name = "KERNEL")]
    pub kernel: KernelName,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How programs run in Panal's kernel.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Execution {
    /// What runs programs [default: jit]
    #[arg(long, value_enum)]
    pub engine: Option<Engine>,
    /// Confine every access of machine code to the cage, as the interpreter does: a program that the
    /// verifier should have rejected cannot harm the host
    #[arg(long)]
    pub cage: bool,
    /// What one run may use before it is stopped: 10ms, 2s, 1000000insns, both by a comma, or none
    ///
    /// Units of time are ns, us, ms and s. Without it a run ends after 2^31 instructions.
    #[arg(long, value_name = "BUDGET", value_parser = budget)]
    pub budget: Option<Budget>,
}

impl ProgRun {
    /// The same for a program that is loaded: options become bpftool's words.
    pub fn as_objects(&self) -> Objects {
        let mut words = self.object.clone();
        let files = [
            ("data_in", &self.data_in),
            ("data_out", &self.data_out),
            ("ctx_in", &self.ctx_in),
            ("ctx_out", &self.ctx_out),
        ];
        for (word, file) in files {
            if let Some(file) = file {
                words.extend([word.to_owned(), file.display().to_string()]);
            }
        }
        if let Some(repeat) = self.repeat {
            words.extend(["repeat".to_owned(), repeat.to_string()]);
        }
        Objects {
            words,
            place: Where {
                kernel: self.kernel,
                instance: self.instance,
            },
            format: Format::new(self.json),
            bpffs: false,
        }
    }

    /// The first option that was given and has a meaning only when an object is loaded.
    pub fn only_of_objects(&self) -> Option<&'static str> {
        let options = [
            (self.program.is_some(), "--program"),
            (!self.maps.is_empty(), "--map"),
            (!self.variables.is_empty(), "--var"),
        ];
        let given = options
            .into_iter()
            .find_map(|(given, name)| given.then_some(name));
        given.or(self.execution.given())
    }
}

const SERVE_EXAMPLES: &str = "Examples:
  panal serve &
  panal prog load xdp.bpf.o /sys/fs/bpf/firewall
  panal prog run pinned /sys/fs/bpf/firewall data_in packet.bin
  panal map dump name packets";

#[derive(Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct Serve {
    #[command(flatten)]
    pub execution: Execution,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The interpreter: every access is checked
    Interp,
    /// Machine code, on x86-64 and aarch64: trusts the verifier, unless there is --cage. Elsewhere, and
    /// where memory must not be executable, programs are interpreted, and a note says so
    Jit,
    /// The optimiser, on x86-64: machine code that is as fast as a compiler's, for programs that run
    /// often. What it does not take, and everything with --cage, is compiled as by jit, and a note
    /// says so
    Opt,
}

impl Execution {
    /// The first option that was given, to say where it has no meaning.
    pub fn given(&self) -> Option<&'static str> {
        let options = [
            (self.engine.is_some(), "--engine"),
            (self.cage, "--cage"),
            (self.budget.is_some(), "--budget"),
        ];
        options
            .into_iter()
            .find_map(|(given, name)| given.then_some(name))
    }
}

/// `10ms`, `1000000insns`, `10ms,1000000insns`, `none`.
fn budget(text: &str) -> Result<Budget, String> {
    if text == "none" {
        return Ok(Budget::UNLIMITED);
    }
    let mut budget = Budget::UNLIMITED;
    for part in text.split(',') {
        let digits = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        let (digits, unit) = part.split_at(digits);
        if digits.is_empty() {
            return Err(match part {
                "" => "expected a number and a unit, as in 10ms or 1000insns".to_owned(),
                "none" => "`none` stands alone".to_owned(),
                _ => {
                    format!("`{part}`: expected a whole number and a unit, as in 10ms or 1000insns")
                }
            });
        }
        let too_much = || format!("`{part}` is too much: leave it off, or say none");
        let number: u64 = digits.parse().map_err(|_| too_much())?;
        let nanoseconds = match unit {
            "insns" => None,
            "ns" => Some(1),
            "us" => Some(1_000),
            "ms" => Some(1_000_000),
            "s" => Some(1_000_000_000),
            "" => {
                return Err(format!(
                    "`{part}`: the unit is missing: ns, us, ms, s or insns"
                ));
            }
            _ => return Err(format!("`{part}`: the unit is ns, us, ms, s or insns")),
        };
        if number == 0 {
            return Err(format!(
                "`{part}`: nothing can run on that; `none` is without a limit"
            ));
        }
        let twice = match nanoseconds {
            None => budget.steps.replace(number).is_some(),
            Some(unit) => {
                let time = number.checked_mul(unit).ok_or_else(too_much)?;
                budget.time.replace(Duration::from_nanos(time)).is_some()
            }
        };
        if twice {
            let what = if nanoseconds.is_some() {
                "time"
            } else {
                "insns"
            };
            return Err(format!("`{text}`: {what} is given twice"));
        }
    }
    Ok(budget)
}

const FEED_HELP: &str = "Write records into a user ring buffer (BPF_MAP_TYPE_USER_RINGBUF) while programs run; can be given for
several maps.

Each line of FILE, or of standard input when it is called `-`, is one record, and is read as the
values of --map are: by the record's type, which is found as that of ring buffers, or else as raw
bytes (hex:0a0b0c) or \"text\". Empty lines are passed over. Lines that find no room wait until a
program has taken others; those that were still waiting at the end are told.";

const SAMPLE_HELP: &str = "On Linux: what programs of section `perf_event` sample.

EVENT is one of perf's names (cpu-clock, task-clock, page-faults, context-switches, cycles, instructions,
cache-misses, ...) or rHEX for a raw event of the processor. EVENT@FREQUENCY runs the programs about so many
times a second (99 if nothing is said), EVENT:PERIOD after every so many events: on every CPU, or in the
command's or the process's threads only.";

/// What iterators go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IterateArg {
    /// A map of the object.
    Map(String),
    /// A cgroup with all below it.
    Cgroup(String),
}

impl FromStr for IterateArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("map", name)) if !name.is_empty() => Ok(IterateArg::Map(name.to_owned())),
            Some(("cgroup", path)) if !path.is_empty() => Ok(IterateArg::Cgroup(path.to_owned())),
            _ => Err("expected map=NAME or cgroup=PATH".to_owned()),
        }
    }
}

impl Command {
    /// Whether errors are told in JSON. Commands on objects of a kernel tell theirs as bpftool does.
    pub fn json(&self) -> bool {
        match self {
            Command::Verify(arguments) => arguments.json,
            Command::Run(arguments) => arguments.json,
            Command::Prog {
                command: ProgCommand::Run(arguments),
            } => arguments.json,
            Command::Feature(arguments) => arguments.json,
            Command::Profile {
                command: ProfileCommand::Show { json, .. },
            } => *json,
            Command::Dump(arguments) => arguments.json,
            Command::Serve(arguments) => arguments.json,
            _ => false,
        }
    }
}

/// bpftool takes `-j` and `-p` before the object's word: here they belong to what follows it.
pub fn in_order(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut all: Vec<OsString> = arguments.collect();
    let format = |word: &OsString| {
        ["-j", "--json", "-p", "--pretty"]
            .iter()
            .any(|option| word == option)
    };
    let object = |word: &OsString| {
        ["prog", "map", "link", "btf"]
            .iter()
            .any(|object| word == object)
    };
    if all.get(1).is_some_and(format) && all.get(2).is_some_and(object) {
        let option = all.remove(1);
        all.push(option);
    }
    all
}

const MAP_HELP: &str = "Set an element of a map before the program runs; can be given many times.

KEY and VALUE are read by the map's types: numbers (5, 0xff), addresses (10.0.0.1, fd00::1,
02:00:00:00:00:01), prefixes of LPM tries (10.0.0.0/8), names of enumerators, \"text\", arrays ([1, 2]),
structs ({port: 80, proto: 6}), or raw bytes (hex:0a0b0c). For prog arrays the value is the name of a
program, for maps of maps the name of a map. A value for a per-CPU map is set on every CPU.";

const DUMP_EXAMPLES: &str = "Examples:
  panal dump examples/opensnoop.bpf.o asm
  panal dump examples/firewall.bpf.o cfg --program firewall -o firewall.svg
  panal dump /usr/lib/bpf/xdp_pass.o maps --json";

#[derive(Args)]
#[command(after_help = DUMP_EXAMPLES)]
pub struct Dump {
    /// The object file
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,
    /// What to print
    #[arg(value_enum)]
    pub what: What,
    /// Only this program, with the functions that it calls
    #[arg(long, value_name = "NAME")]
    pub program: Option<String>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Instructions with their source lines
    Asm,
    /// The control flow, as an SVG picture
    Cfg,
    /// The object's types, as C
    Btf,
    /// The maps with their attributes
    Maps,
    /// What instructions refer to, and which of them depend on the kernel's types
    Relocations,
}
