//! Standard output and standard error: colours where a terminal reads, plain text elsewhere.

use std::{
    fmt::Display,
    io::{self, Write},
};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::{error::Problem, text::clean};

/// Headings.
pub const HEADING: Style = Style::new().bold();
/// Source lines and other remarks beside what matters.
pub const QUIET: Style = AnsiColor::BrightBlack.on_default();
/// Names of programs, maps and labels.
pub const NAME: Style = AnsiColor::Cyan.on_default();
/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What did not.
pub const BAD: Style = AnsiColor::Red.on_default().bold();

/// Something in a style; the stream drops the style where nobody can see it.
pub struct Painted<T>(pub Style, pub T);

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.1.to_string();
        write!(
            f,
            "{}{}{}",
            self.0.render(),
            clean(&text),
            self.0.render_reset()
        )
    }
}

/// Standard output, buffered; flush it with [`finish`].
pub fn stdout() -> io::BufWriter<anstream::AutoStream<io::StdoutLock<'static>>> {
    io::BufWriter::with_capacity(1 << 16, anstream::AutoStream::auto(io::stdout().lock()))
}

/// Writes out what is buffered.
pub fn finish(mut out: impl Write) -> Result<(), Problem> {
    Ok(out.flush()?)
}

/// Writes bytes to standard output as they are.
pub fn write_bytes(bytes: &[u8]) -> Result<(), Problem> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Writes a value as JSON, on one line.
pub fn json_line(out: &mut impl Write, value: &impl Serialize) -> Result<(), Problem> {
    let text = serde_json::to_string(value).map_err(|e| Problem::Output(e.to_string()))?;
    Ok(writeln!(out, "{text}")?)
}

/// Reports a problem on standard error. Nothing can be done when even that fails.
pub fn error(problem: &dyn Display) {
    let text = problem.to_string();
    let _ = writeln!(
        anstream::stderr(),
        "{}: {}",
        Painted(BAD, "error"),
        clean(&text)
    );
}

/// A remark on standard error.
pub fn note(text: &dyn Display) {
    let text = text.to_string();
    let _ = writeln!(
        anstream::stderr(),
        "{}: {}",
        Painted(HEADING, "note"),
        clean(&text)
    );
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    use std::fmt::Write as _;
    bytes.into_iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
