//! Programs on the events of a command: its system calls, its processes, what it may open and
//! connect to.

use std::ffi::OsString;

use panal_kernel::hooks::{Command, ExitStatus, StartError};

use panal_kernel::PanalKernel;
use panal_uapi::kernel::Fd;
use serde_json::json;

use super::{Running, packets};
use crate::{error::Problem, load, output};

/// Runs the command with every program attached, until its whole process tree has ended.
pub fn run(
    kernel: &PanalKernel,
    running: &mut Running<'_>,
    arguments: &[OsString],
) -> Result<ExitStatus, Problem> {
    let links = attach(running)?;
    let (name, rest) = arguments.split_first().ok_or_else(|| {
        // The command line asks for one.
        Problem::Asked("no command was given".to_owned())
    })?;
    let command = Command::new(name).args(rest);
    let status = supervise(kernel, running, &command);
    drop(links);
    status.map_err(|error| Problem::Asked(error.to_string()))
}

/// Attaches every loaded program to what its section names.
fn attach(running: &Running<'_>) -> Result<Vec<Fd>, Problem> {
    let mut links = Vec::new();
    for program in running.loaded.programs() {
        let link = running
            .loaded
            .attach(program)
            .map_err(|error| match error {
                panal_loader::Error::Unattached { .. }
                    if packets::takes_packets(program.plan.prog_type) =>
                {
                    let (file, name) = (&running.file, &program.plan.name);
                    let text = "takes packets, which a command has none of: use --pcap";
                    Problem::Asked(format!("{file}: program {name} {text}"))
                }
                error => load::problem(&running.file, error),
            })?;
        links.push(link);
    }
    Ok(links)
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn supervise(
    kernel: &PanalKernel,
    running: &mut Running<'_>,
    command: &Command,
) -> Result<ExitStatus, StartError> {
    kernel.supervise(command, &mut || running.drain())
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn supervise(_: &PanalKernel, _: &mut Running<'_>, _: &Command) -> Result<ExitStatus, StartError> {
    Err(StartError::Unsupported)
}

/// How a command ended, where it did not end well.
pub fn failure(name: &str, status: ExitStatus) -> Option<serde_json::Value> {
    let told = match status {
        ExitStatus::Code(0) => return None,
        ExitStatus::Code(code) => json!({"name": name, "exit_code": code}),
        ExitStatus::Signal(signal) => json!({"name": name, "signal": signal}),
    };
    Some(json!({ "command": told }))
}

/// Says how the command ended, and gives its exit code: 128 and the signal's number if one killed it,
/// as shells and timeout(1) do.
pub fn ended(name: &str, status: ExitStatus) -> u8 {
    let code = match status {
        ExitStatus::Code(code) => code as u8,
        ExitStatus::Signal(signal) => 128u8.wrapping_add(signal as u8),
    };
    match status {
        ExitStatus::Code(0) => {}
        ExitStatus::Code(code) => output::note(&format_args!("{name} exited with code {code}")),
        ExitStatus::Signal(signal) => {
            let known = usize::try_from(signal - 1)
                .ok()
                .and_then(|at| SIGNALS.get(at));
            let named = known.map_or_else(String::new, |known| format!(" (SIG{known})"));
            output::error(&format_args!("{name} was killed by signal {signal}{named}"));
        }
    }
    code
}

/// Names of the signals from 1 on (signal(7), x86 and ARM).
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
