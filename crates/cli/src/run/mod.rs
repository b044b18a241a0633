//! `panal run`: an object's programs on real events: a capture's packets, what a command does, or
//! whatever happens on the running Linux kernel.

mod command;
mod effect;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
#[path = "not_linux.rs"]
mod linux;
mod packets;
#[cfg(target_os = "linux")]
mod places;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
};

use panal_kernel::{PanalKernel, hooks::ExitStatus};
use panal_loader::{Loaded, Open, ProgramPlan};
use panal_uapi::{ProgType, kernel::Kernel};
use serde_json::json;

use crate::{
    DONE,
    args::{KernelName, Run},
    error::Problem,
    events::Events,
    feed::Feeds,
    files, kernels, load, map_args, object, output, summary,
    text::clean,
};

/// Where events go: standard output, or a file when the command's own output is not to be mixed.
type Output = Box<dyn Write>;

/// A loaded object while its events are running.
struct Running<'k> {
    loaded: Loaded<'k>,
    /// Whose `bpf_printk` lines are printed. Linux's are in its tracing file system, for everybody.
    printing: Option<&'k PanalKernel>,
    events: Events,
    feeds: Feeds,
    out: Output,
    file: String,
    /// The program that was asked for, if it is one.
    chosen: Option<String>,
    /// What ended the output early; the events go on, as the command should not notice.
    problem: Option<Problem>,
}

/// Runs the command; the exit code.
pub fn run(arguments: &Run) -> Result<u8, Problem> {
    // A script whose variable is empty means a command, not everybody's events.
    if arguments.command.is_empty() && std::env::args_os().last().is_some_and(|last| last == "--") {
        return Err(Problem::Asked("no command after `--`".to_owned()));
    }
    let path = &arguments.object;
    let file = path.display().to_string();
    let mut open = object::load(path)?;
    if !arguments.programs.is_empty() {
        object::choose_all(path, &mut open, &arguments.programs)?;
    }
    if !open.programs().iter().any(|plan| plan.load) {
        let why = match open.programs().is_empty() {
            true => "the object has no programs",
            false => "every program is optional (`SEC(\"?...\")`): choose one by --program",
        };
        return Err(Problem::Asked(format!("{file}: {why}")));
    }
    effect::check(arguments, open.programs())?;
    map_args::set_variables(&mut open, &arguments.variables)?;
    match arguments.kernel {
        KernelName::Panal => on_panal(open, &file, arguments),
        KernelName::Linux => linux::run(open, &file, arguments),
    }
}

fn on_panal(open: Open, file: &str, arguments: &Run) -> Result<u8, Problem> {
    if let Some(plan) = open.programs().iter().find(|plan| is_struct_ops(plan)) {
        return Err(Problem::Asked(format!(
            "{file}: program {} is for struct_ops: Panal's kernel verifies such programs \
             (panal verify --profile host) but does not run them; --kernel linux does",
            plan.name
        )));
    }
    let kernel = kernels::panal(arguments.execution)?;
    let offer = crate::instance::Offer::new(&kernel);
    if let Err(problem) = &offer {
        output::note(&format_args!(
            "`panal prog list` will not see this run: {problem}"
        ));
    }
    let mut running = Running::load(open, &kernel, file, arguments)?;
    running.printing = Some(&kernel);
    // What is fed is there before the first event.
    running.drain();
    running.tell_interpreted(arguments.json)?;
    let status = match (&arguments.pcap, &arguments.command[..]) {
        (Some(input), _) => {
            let output = arguments.out.as_deref();
            packets::run(&kernel, &mut running, input, output, arguments.json)?;
            None
        }
        (None, []) => {
            return Err(Problem::Asked(
                "Panal's kernel needs events: the packets of a capture (--pcap IN), or a command \
                 (-- CMD)"
                    .to_owned(),
            ));
        }
        (None, command) => Some(command::run(&kernel, &mut running, command)?),
    };
    running.finish(arguments, status)
}

fn is_struct_ops(plan: &ProgramPlan) -> bool {
    plan.load && plan.prog_type == Some(ProgType::StructOps)
}

fn output_to(path: Option<&Path>) -> Result<Output, Problem> {
    Ok(match path {
        None => Box::new(io::BufWriter::new(anstream::AutoStream::auto(io::stdout()))),
        Some(path) => {
            let file = files::create(path)?;
            Box::new(io::BufWriter::new(anstream::StripStream::new(file)))
        }
    })
}

impl<'k> Running<'k> {
    /// Loads the object and fills its maps; nothing is attached yet.
    fn load(
        open: Open,
        kernel: &'k dyn Kernel,
        file: &str,
        arguments: &Run,
    ) -> Result<Self, Problem> {
        let loaded = load::load(open, kernel, file, arguments.json)?;
        map_args::apply(&loaded, &arguments.maps)?;
        let out = output_to(arguments.output.as_deref())?;
        let events = Events::of(&loaded, arguments.json);
        let feeds = Feeds::open(&loaded, &arguments.feeds)?;
        Ok(Running {
            loaded,
            printing: None,
            events,
            feeds,
            out,
            file: file.to_owned(),
            chosen: match &arguments.programs[..] {
                [only] => Some(only.clone()),
                _ => None,
            },
            problem: None,
        })
    }

    /// Prints the records and lines that wait, and writes what is fed.
    fn drain(&mut self) {
        if self.problem.is_none() {
            let fed = self.feeds.pump(self.loaded.kernel());
            self.problem = fed.and_then(|()| self.print_waiting()).err();
        }
    }

    fn print_waiting(&mut self) -> Result<(), Problem> {
        let mut count = self.events.drain(self.loaded.kernel(), &mut self.out)?;
        for line in self.printing.map_or_else(Vec::new, PanalKernel::take_trace) {
            count += 1;
            match self.events.is_json() {
                true => {
                    let json = json!({"trace": line.text, "comm": line.comm, "tid": line.tid});
                    writeln!(self.out, "{json}")?;
                }
                false => writeln!(self.out, "{}", clean(&line.to_string()))?,
            }
        }
        if count > 0 {
            self.out.flush()?;
        }
        Ok(())
    }

    /// Says which programs have no machine code though it was asked for: once for each reason.
    fn tell_interpreted(&mut self, json: bool) -> Result<(), Problem> {
        let programs = self.printing.map_or_else(Vec::new, PanalKernel::programs);
        let mut reasons: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for program in &programs {
            let less = [
                ("interpreted", program.interpreted()),
                ("not_optimised", program.not_optimised()),
            ];
            for (how, why) in less {
                if let Some(why) = why {
                    reasons.entry((how, why)).or_default().push(program.name());
                }
            }
        }
        for ((how, why), names) in reasons {
            if json {
                let said = json!({"programs": names, "why": why});
                writeln!(self.out, "{}", json!({ how: said }))?;
            }
            let verb = if names.len() == 1 { "is" } else { "are" };
            let (names, how) = (names.join(", "), how.replace('_', " "));
            output::note(&format_args!("{names} {verb} {how}: {why}"));
        }
        Ok(())
    }

    /// Says which programs were stopped.
    fn print_stops(&mut self, json: bool) -> Result<(), Problem> {
        for program in self.printing.map_or_else(Vec::new, PanalKernel::programs) {
            let Some((count, why)) = program.stops() else {
                continue;
            };
            let (name, why) = (program.name(), why.to_string());
            if json {
                let stopped = json!({"program": name, "runs": count, "why": why});
                writeln!(self.out, "{}", json!({ "stopped": stopped }))?;
            } else {
                output::note(&format_args!(
                    "{name} was stopped in {count} runs, first because of: {why}"
                ));
            }
        }
        Ok(())
    }

    /// Prints what is left: last records, the maps that ask for it, and how the command ended, whose
    /// exit code it gives.
    fn finish(mut self, arguments: &Run, status: Option<ExitStatus>) -> Result<u8, Problem> {
        self.drain();
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let json = arguments.json;
        summary::print(&self.loaded, json, &mut self.out)?;
        self.print_stops(json)?;
        let name = arguments.command.first();
        let ended = name.map(|name| name.to_string_lossy()).zip(status);
        let failure = ended
            .as_ref()
            .and_then(|(name, status)| command::failure(name, *status));
        if let (true, Some(failure)) = (json, failure) {
            output::json_line(&mut self.out, &failure)?;
        }
        output::finish(self.out)?;
        self.feeds.finish()?;
        Ok(ended.map_or(DONE, |(name, status)| command::ended(&name, status)))
    }
}
