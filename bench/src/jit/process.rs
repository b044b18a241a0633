//! A program in a process of its own, which runs it as often as a line on its standard input says.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::engines::{Fault, Runner, Sample};

/// The process and its pipes.
pub struct Process {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Process, String> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", command.get_program().to_string_lossy()))?;
        let ask = child.stdin.take().ok_or("no standard input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Process {
            child,
            ask,
            answers,
        })
    }

    /// The answer to a count. A process that ended says how it did.
    fn answer(&mut self, repeat: u32) -> Result<String, Fault> {
        let mut line = String::new();
        // Where it has ended, its last words or its status tell more than the broken pipe.
        let _ = writeln!(self.ask, "{repeat}");
        match self.answers.read_line(&mut line) {
            Ok(length) if length > 0 => Ok(line.trim().to_owned()),
            Ok(_) => Err(Fault::Broken(match self.child.wait() {
                Ok(status) => format!("it ended: {status}"),
                Err(why) => why.to_string(),
            })),
            Err(why) => Err(Fault::Broken(why.to_string())),
        }
    }
}

impl Runner for Process {
    fn run(&mut self, repeat: u32) -> Result<Sample, Fault> {
        let line = self.answer(repeat)?;
        if let Some(why) = line.strip_prefix("refused ") {
            return Err(Fault::Refused(why.to_owned()));
        }
        let mut words = line.split_whitespace();
        let total: Option<f64> = words.next().and_then(|w| w.parse().ok());
        let value = words.next().and_then(|w| w.parse().ok());
        match (total, value) {
            (Some(total), Some(value)) => Ok(Sample {
                ns: total / f64::from(repeat),
                value,
                steps: None,
            }),
            _ => Err(Fault::Broken(format!("it answered {line:?}"))),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
