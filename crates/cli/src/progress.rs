//! A line on the terminal that says what is being done, and goes away.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// Shorter work needs no line.
const PATIENCE: Duration = Duration::from_millis(200);
/// Between two updates.
const PACE: Duration = Duration::from_millis(80);

/// Progress of some work, on standard error if that is a terminal.
pub struct Progress {
    visible: bool,
    started: Instant,
    shown: Option<Instant>,
}

impl Progress {
    pub fn start() -> Progress {
        Progress {
            visible: io::stderr().is_terminal(),
            started: Instant::now(),
            shown: None,
        }
    }

    /// Says what comes next. Cheap when it is too early or too soon to say anything.
    pub fn say(&mut self, what: impl Display) {
        let late = self.started.elapsed() > PATIENCE;
        let due = self.shown.is_none_or(|shown| shown.elapsed() > PACE);
        if !(self.visible && late && due) {
            return;
        }
        let text = what.to_string();
        let text: String = crate::text::clean(&text).chars().take(100).collect();
        // Nothing can be done when standard error is gone.
        let _ = write!(io::stderr(), "\r{text}\x1b[K");
        self.shown = Some(Instant::now());
    }

    /// Removes the line, so that other output can follow.
    pub fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
