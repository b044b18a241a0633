//! Programs attached to the running Linux kernel: while a command runs, or until somebody ends it.
//!
//! Links hold by descriptor, and what netlink attached has its janitor: whatever ends this process
//! detaches the programs.

use std::{
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::process::ExitStatusExt,
    },
    time::{Duration, Instant},
};

use panal_kernel::hooks::ExitStatus;
use panal_linux::{Asked, Cgroup, Held, LinuxKernel, Signals};
use panal_loader::{Open, Scope};

mod attach;

use super::{
    Running,
    places::{self, Named},
};
use crate::{args::Run, error::Problem, output};

/// How often is looked whether processes that outlived the command are still there.
const POLL: Duration = Duration::from_millis(20);

/// Runs the command; the exit code.
pub fn run(mut open: Open, file: &str, arguments: &Run) -> Result<u8, Problem> {
    // First, while there are no other threads.
    let signals = Signals::block().map_err(|e| failed("signals", &e))?;
    places::enter(&arguments.places)?;
    let kernel = LinuxKernel::new();
    places::direct(&mut open, &arguments.places);
    let process = arguments.pid.map(open_process).transpose()?;
    let held = match arguments.command.split_first() {
        Some((name, rest)) => Some(Command::hold(name, rest)?),
        None => None,
    };
    if let Some(scope) = scope(arguments, held.as_ref()) {
        open.restrict(scope);
    }
    let mut running = Running::load(open, &kernel, file, arguments)?;
    // Opens the buffers: records of programs that find none are lost.
    running.drain();
    let own = held.as_ref().map(|command| command.cgroup.path());
    let mut named = places::find(&arguments.places, own)?;
    let pid = held.as_ref().map(|command| command.held.pid());
    let attached = attach::attach(&running, arguments, pid, &mut named)?;
    let status = match held {
        Some(command) => Some(supervise(
            &kernel,
            &mut running,
            &signals,
            &mut named,
            command,
        )?),
        // Iterators tell what is there now.
        None if attached.links.is_empty() => None,
        None => {
            let count = attached.links.len();
            let plural = if count == 1 { "" } else { "s" };
            output::note(&format_args!(
                "{count} program{plural} attached; Ctrl-C ends"
            ));
            watch(
                &kernel,
                &mut running,
                &signals,
                &mut named,
                process.as_ref(),
                arguments.duration,
            )?;
            None
        }
    };
    drop(attached.links);
    attach::iterate(&mut running, &attached.iterators)?;
    running.finish(arguments, status)
}

impl Running<'_> {
    /// How long may be waited until records are tried again that found no room.
    fn pause(&self) -> Option<Duration> {
        self.feeds.waits_for_room().then_some(POLL)
    }
}

/// A process that is watched: its descriptor is readable once it has ended.
fn open_process(pid: u32) -> Result<OwnedFd, Problem> {
    let number = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let number = number.ok_or_else(|| Problem::Asked(format!("--pid {pid}: no process has it")))?;
    rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty())
        .map_err(|errno| failed(&format!("--pid {pid}"), &errno.into()))
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut ends = [rustix::event::PollFd::new(
        process,
        rustix::event::PollFlags::IN,
    )];
    let now = rustix::event::Timespec::default();
    rustix::event::poll(&mut ends, Some(&now)).is_ok_and(|ready| ready > 0)
}

fn failed(what: &str, error: &io::Error) -> Problem {
    Problem::Asked(format!("{what}: {}", crate::error::named(error)))
}

/// A command that waits to be let go, in a cgroup of its own.
struct Command {
    name: String,
    held: Held,
    cgroup: Cgroup,
}

impl Command {
    fn hold(name: &std::ffi::OsStr, rest: &[std::ffi::OsString]) -> Result<Self, Problem> {
        let shown = name.to_string_lossy().into_owned();
        let cgroup = Cgroup::new().map_err(|e| failed("a cgroup for the command", &e))?;
        let held = Held::start(name, rest).map_err(|e| failed(&shown, &e))?;
        cgroup
            .add(held.pid())
            .map_err(|e| failed("a cgroup for the command", &e))?;
        Ok(Command {
            name: shown,
            held,
            cgroup,
        })
    }
}

/// Whose events tracing programs see; `None` for everybody's.
fn scope(arguments: &Run, command: Option<&Command>) -> Option<Scope> {
    match (arguments.pid, command) {
        (Some(pid), _) => Some(Scope::Process(pid)),
        (None, Some(command)) if !arguments.system_wide => Some(Scope::Cgroup(command.cgroup.id())),
        _ => None,
    }
}

/// Lets the command run, and prints what comes until every process that it started has ended.
fn supervise(
    kernel: &LinuxKernel,
    running: &mut Running<'_>,
    signals: &Signals,
    named: &mut Named,
    command: Command,
) -> Result<ExitStatus, Problem> {
    let Command { name, held, cgroup } = command;
    let mut process = held.release().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Problem::Asked(format!("{name}: command not found")),
        _ => failed(&name, &e),
    })?;
    let mut status = None;
    while status.is_none() || cgroup.is_populated() {
        let (ended, pause) = match status {
            None => (process.pidfd().as_raw_fd(), running.pause()),
            Some(_) => (-1, Some(POLL)),
        };
        let signalled = signals.as_fd().as_raw_fd();
        let fed = running.feeds.descriptor();
        let wake = [ended, signalled, named.descriptor(), fed];
        kernel.wait(&wake, pause).map_err(|e| failed("poll", &e))?;
        running.drain();
        // The command goes on without them.
        named.is_over();
        if status.is_none() {
            status = process.try_wait().map_err(|e| failed(&name, &e))?;
        }
        match signals.take() {
            // The command has got it, too, and decides.
            Some(Asked::Terminal(_)) if status.is_none() => {}
            Some(Asked::Process(signal)) if status.is_none() => process.signal(signal),
            Some(_) => break,
            None => {}
        }
    }
    let status = status.unwrap_or_default();
    Ok(match status.signal() {
        Some(signal) => ExitStatus::Signal(signal),
        None => ExitStatus::Code(status.code().unwrap_or_default()),
    })
}

/// Prints what comes until a signal asks for the end, the time is over, or what the programs were
/// attached to is gone.
fn watch(
    kernel: &LinuxKernel,
    running: &mut Running<'_>,
    signals: &Signals,
    named: &mut Named,
    process: Option<&OwnedFd>,
    duration: Option<Duration>,
) -> Result<(), Problem> {
    let end = duration.map(|duration| Instant::now() + duration);
    let signalled = signals.as_fd().as_raw_fd();
    let mut wake = vec![signalled, named.descriptor(), running.feeds.descriptor()];
    wake.extend(process.map(AsRawFd::as_raw_fd));
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) || signals.take().is_some() || running.problem.is_some() {
            return Ok(());
        }
        if process.is_some_and(has_ended) {
            output::note(&"the process has ended");
            return Ok(());
        }
        let most = [left, running.pause()].into_iter().flatten().min();
        kernel.wait(&wake, most).map_err(|e| failed("poll", &e))?;
        running.drain();
        if named.is_over() {
            return Ok(());
        }
    }
}
