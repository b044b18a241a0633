//! Why something could not even be tried. One line each: whose mistake, and where.

use std::{io, path::Path};

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A file that cannot be read or written.
    #[error("{path}: cannot {action}: {reason}")]
    File {
        path: String,
        action: &'static str,
        reason: String,
    },
    /// An object that is not one.
    #[error("{path}: {error}")]
    Object {
        path: String,
        error: panal_object::Error,
    },
    /// What was asked for does not exist, or makes no sense.
    #[error("{0}")]
    Asked(String),
    /// A command failed in a kernel, or an object did not fit it.
    #[error("{file}: {error}")]
    Load {
        file: String,
        error: Box<panal_loader::Error>,
    },
    /// All was said already: only the exit code is left.
    #[error("exit code {0}")]
    Reported(u8),
    /// Standard output cannot be written.
    #[error("standard output: {0}")]
    Output(String),
    /// Standard output was closed by its reader: no error.
    #[error("standard output was closed")]
    OutputClosed,
}

impl Problem {
    /// Whose mistake it is, in a word: as in `panal verify --json`.
    pub fn class(&self) -> &'static str {
        match self {
            Problem::File { .. } | Problem::Object { .. } => "file",
            Problem::Asked(_) | Problem::Reported(_) => "caller",
            Problem::Load { error, .. } => crate::verdict::blame(error),
            Problem::Output(_) | Problem::OutputClosed => "output",
        }
    }

    /// Prints it as JSON: `{"error":{"class":…,"message":…}}`.
    pub fn print_json(&self) -> Result<(), Problem> {
        let error = serde_json::json!({"class": self.class(), "message": self.to_string()});
        let mut out = crate::output::stdout();
        crate::output::json_line(&mut out, &serde_json::json!({ "error": error }))?;
        crate::output::finish(out)
    }

    pub fn file(path: &Path, action: &'static str, error: &io::Error) -> Self {
        let reason = reason(error);
        Problem::File {
            path: path.display().to_string(),
            action,
            reason,
        }
    }
}

/// The errno by name, as kernels' failures have it; other errors in their own words.
#[cfg(target_os = "linux")]
pub fn named(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => panal_uapi::Errno(number).to_string(),
        None => reason(error),
    }
}

/// The system's words without Rust's `(os error N)`.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Problem::OutputClosed,
            _ => Problem::Output(reason(&error)),
        }
    }
}
