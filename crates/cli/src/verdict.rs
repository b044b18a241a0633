//! Verdicts as text and as JSON.

use std::{io::Write, time::Duration};

use panal_loader::ProgramPlan;
use panal_uapi::{ProgType, kernel::VerifierStats};
use serde::Serialize;

use crate::{
    error::Problem,
    output::{self, BAD, GOOD, NAME, Painted, QUIET},
    rejection_json, render,
    text::clean,
};

/// What came out for one program, or for an object that could not be read.
#[derive(Serialize)]
struct Answer<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<usize>,
    #[serde(flatten)]
    counts: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a str>,
}

/// What came out. The worst of several is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Accept,
    Reject,
    Error,
}

#[derive(Serialize)]
struct Counts {
    processed: u64,
    states_total: u64,
    states_peak: u64,
    stack_depth: u32,
    time_ns: u64,
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    #[serde(flatten)]
    why: rejection_json::Why<'a>,
    /// What the kernel lacks, if that is why.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'a str>,
}

/// How one program fared.
pub enum Outcome {
    Accepted {
        stats: Option<VerifierStats>,
        log: String,
    },
    Rejected(Box<panal_loader::Rejected>),
    /// No verdict: what stood in the way, in a word and in a sentence.
    Failed {
        class: &'static str,
        message: String,
    },
}

impl Outcome {
    pub fn failed(error: &panal_loader::Error) -> Outcome {
        Outcome::Failed {
            class: blame(error),
            message: error.to_string(),
        }
    }
}

/// Whose fault it is that there is no verdict.
pub fn blame(error: &panal_loader::Error) -> &'static str {
    match error.blame() {
        panal_loader::Blame::File => "file",
        panal_loader::Blame::Source => "source",
        panal_loader::Blame::Caller => "caller",
        panal_loader::Blame::Kernel => "kernel",
        panal_loader::Blame::Unsupported => "unsupported",
    }
}

/// Prints that there is no verdict for a whole object.
pub fn print_no_object(out: &mut impl Write, file: &str, message: &str) -> Result<(), Problem> {
    let prefix = format!("{file}: ");
    let message = message.strip_prefix(&prefix).unwrap_or(message);
    let answer = Answer {
        file,
        program: None,
        section: None,
        r#type: None,
        verdict: Verdict::Error,
        instructions: None,
        counts: None,
        error: Some(plain_error("file", message)),
        log: None,
    };
    output::json_line(out, &answer)
}

fn plain_error<'a>(class: &'a str, message: &'a str) -> ErrorJson<'a> {
    ErrorJson {
        why: rejection_json::Why::new(class, message),
        missing: None,
    }
}

/// A program, and what is printed of it whatever the verdict.
pub struct Program<'a> {
    pub file: &'a str,
    pub plan: &'a ProgramPlan,
    /// With its subprograms, in slots.
    pub instructions: Option<usize>,
    /// Whether the log is printed.
    pub logged: bool,
    /// Whether the path of a rejection is printed.
    pub explained: bool,
}

impl Program<'_> {
    /// Prints the verdict.
    pub fn print(
        &self,
        outcome: &Outcome,
        json: bool,
        out: &mut impl Write,
    ) -> Result<Verdict, Problem> {
        let verdict = match outcome {
            Outcome::Accepted { .. } => Verdict::Accept,
            Outcome::Rejected(_) => Verdict::Reject,
            Outcome::Failed { .. } => Verdict::Error,
        };
        match json {
            true => self.print_json(verdict, outcome, out)?,
            false => self.print_text(outcome, out)?,
        }
        Ok(verdict)
    }

    fn print_text(&self, outcome: &Outcome, out: &mut impl Write) -> Result<(), Problem> {
        let ty = self
            .plan
            .prog_type
            .map_or("unknown type", ProgType::short_name);
        let place = format!("{} ({ty}, {})", self.plan.name, self.file);
        let log = match outcome {
            Outcome::Accepted { stats, log } => {
                let counts = stats.map(|s| summary(&s)).unwrap_or_default();
                write!(out, "{} {}", Painted(GOOD, "accept"), Painted(NAME, place))?;
                writeln!(out, " {}", Painted(QUIET, counts))?;
                log
            }
            Outcome::Rejected(rejected) => {
                write!(out, "{} {}", Painted(BAD, "reject"), Painted(NAME, place))?;
                let counts = rejected.stats.map(|s| summary(&s)).unwrap_or_default();
                writeln!(out, " {}", Painted(QUIET, counts))?;
                match &rejected.rejection {
                    Some(why) => {
                        let text = render::rejection(self.file, &self.plan.name, why);
                        writeln!(out, "{text}\n")?;
                        if self.explained {
                            writeln!(out, "{}", render::path(&why.path))?;
                        }
                    }
                    None => writeln!(out, "  {}", clean(last_line(&rejected.log)))?,
                }
                if let (None, Some(missing)) = (&rejected.rejection, &rejected.missing) {
                    writeln!(out, "  it uses {}, which the kernel lacks", clean(missing))?;
                }
                &rejected.log
            }
            Outcome::Failed { message, .. } => {
                let message = clean(message);
                writeln!(
                    out,
                    "{} {}: {message}",
                    Painted(BAD, "error"),
                    Painted(NAME, place)
                )?;
                return Ok(());
            }
        };
        if self.logged {
            for line in log.lines() {
                writeln!(out, "  {}", clean(line))?;
            }
        }
        Ok(())
    }

    fn print_json(
        &self,
        verdict: Verdict,
        outcome: &Outcome,
        out: &mut impl Write,
    ) -> Result<(), Problem> {
        let (stats, error, log) = match outcome {
            Outcome::Accepted { stats, log } => (*stats, None, Some(log)),
            Outcome::Rejected(rejected) => {
                let mut error = match &rejected.rejection {
                    Some(why) => ErrorJson {
                        why: rejection_json::Why::explained(why, self.explained),
                        missing: None,
                    },
                    None => {
                        let said = last_line(&rejected.log);
                        let mut error = plain_error("unknown", said);
                        error.why.errno = Some(rejected.errno.to_string());
                        error.why.linux_message = Some(said);
                        error
                    }
                };
                error.missing = rejected.missing.as_deref();
                (rejected.stats, Some(error), Some(&rejected.log))
            }
            Outcome::Failed { class, message } => (None, Some(plain_error(class, message)), None),
        };
        let answer = Answer {
            file: self.file,
            program: Some(&self.plan.name),
            section: Some(&self.plan.section),
            r#type: self.plan.prog_type.map(ProgType::short_name),
            verdict,
            instructions: self.instructions,
            counts: stats.map(|s| Counts {
                processed: s.processed,
                states_total: s.total_states,
                states_peak: s.peak_states,
                stack_depth: s.stack_depth,
                time_ns: s.time_ns,
            }),
            error,
            log: log.filter(|_| self.logged).map(String::as_str),
        };
        output::json_line(out, &answer)
    }
}

/// The line of a log that says what was wrong.
pub fn last_line(log: &str) -> &str {
    panal_uapi::log::reason(log).unwrap_or("the kernel gave no reason")
}

fn summary(stats: &VerifierStats) -> String {
    let time = duration(Duration::from_nanos(stats.time_ns));
    format!(
        "{} processed, {} states, {time}",
        stats.processed, stats.total_states
    )
}

/// `1.2 ms`
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}
