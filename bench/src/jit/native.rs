//! The same C source compiled for this CPU by clang -O2, in a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::{
    engines::{Missing, Runner, Sample},
    programs::Program,
};
use crate::command::{is_here, root};

/// The compiler, and what it is told: nothing about this CPU.
pub const CLANG: &str = "clang-22";
pub const FLAGS: &[&str] = &["-O2", "-Wall"];

/// The process that runs the program, and its pipes.
struct Native {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Compiles a program and starts it.
pub fn make(program: &Program) -> Result<Box<dyn Runner>, Missing> {
    if let Some(why) = program.not_native {
        return Err(Missing::Skipped(why.to_owned()));
    }
    if !is_here(CLANG) {
        return Err(Missing::Skipped(format!("{CLANG} is not installed")));
    }
    start(program)
        .map(|native| Box::new(native) as Box<dyn Runner>)
        .map_err(Missing::Failed)
}

fn start(program: &Program) -> Result<Native, String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let folder = me.with_file_name("bench-native");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let executable = compile(program, &folder)?;
    let packet = folder.join(format!("{}.bin", program.name));
    fs::write(&packet, program.input.bytes()).map_err(|e| e.to_string())?;
    let mut child = Command::new(&executable)
        .arg(packet)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{}: {e}", executable.display()))?;
    let ask = child.stdin.take().ok_or("no standard input")?;
    let answers = BufReader::new(child.stdout.take().ok_or("no standard output")?);
    Ok(Native {
        child,
        ask,
        answers,
    })
}

/// The program and its harness apart, so that no run is optimised away.
fn compile(program: &Program, folder: &Path) -> Result<PathBuf, String> {
    let harness = root().join("bench/native");
    let executable = folder.join(program.name);
    let object = folder.join(format!("{}.o", program.name));
    clang(
        Command::new(CLANG)
            .args(FLAGS)
            .arg("-I")
            .arg(&harness)
            .arg("-c")
            .arg(root().join(program.source()))
            .arg("-o")
            .arg(&object),
    )?;
    clang(
        Command::new(CLANG)
            .args(FLAGS)
            .arg(format!("-DPROGRAM={}", program.name))
            .arg(harness.join("main.c"))
            .arg(&object)
            .arg("-o")
            .arg(&executable),
    )?;
    Ok(executable)
}

fn clang(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{CLANG}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

impl Runner for Native {
    fn run(&mut self, repeat: u32) -> Result<Sample, String> {
        writeln!(self.ask, "{repeat}").map_err(|e| e.to_string())?;
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .map_err(|e| e.to_string())?;
        let mut words = line.split_whitespace();
        let total: Option<f64> = words.next().and_then(|w| w.parse().ok());
        let value = words.next().and_then(|w| w.parse().ok());
        match (total, value) {
            (Some(total), Some(value)) => Ok(Sample {
                ns: total / f64::from(repeat),
                value,
                steps: None,
            }),
            _ => Err(format!("it answered {line:?}")),
        }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
