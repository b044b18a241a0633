//! The command that a supervisor starts: found and checked before anything is forked.

use std::{
    ffi::{CString, OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// A command with its arguments; environment, working directory and descriptors are inherited.
#[derive(Clone, Debug)]
pub struct Command {
    program: OsString,
    args: Vec<OsString>,
    user: Option<(u32, u32)>,
}

/// Why a command was not started: the caller's mistake, or the system's refusal.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No file of that name in `PATH`, or none at that path.
    #[error("{0}: command not found")]
    NotFound(String),
    /// There is one, but it cannot be executed.
    #[error("{0}: {1}")]
    NotExecutable(String, io::Error),
    /// A zero byte in an argument or the environment.
    #[error("{0}: an argument contains a zero byte")]
    ZeroByte(String),
    /// This system has no hooks for system calls.
    #[error("cannot supervise a command here: it needs Linux on x86-64 or aarch64")]
    Unsupported,
    /// A system call that supervision needs failed.
    #[error("cannot supervise: {what}: {error}{hint}")]
    System {
        /// The call.
        what: &'static str,
        /// Its error.
        error: io::Error,
        /// What may be done about it; may be empty.
        hint: &'static str,
    },
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl ExitStatus {
    /// As shells report it: the code, or 128 and the signal's number.
    pub fn code(self) -> i32 {
        match self {
            ExitStatus::Code(code) => code,
            ExitStatus::Signal(signal) => 128 + signal,
        }
    }
}

impl StartError {
    pub(in crate::hooks) fn last(what: &'static str) -> Self {
        Self::of(what, io::Error::last_os_error())
    }

    pub(in crate::hooks) fn of(what: &'static str, error: io::Error) -> Self {
        let hint = match (what, error.raw_os_error()) {
            ("ptrace", Some(libc::EPERM)) => {
                " (is it forbidden by kernel.yama.ptrace_scope or a container's seccomp profile?)"
            }
            ("seccomp", Some(libc::EBUSY)) => {
                " (this process is itself under a seccomp supervisor; they do not nest)"
            }
            ("seccomp", Some(libc::EINVAL)) => " (Linux 5.19 or later is needed)",
            _ => "",
        };
        StartError::System { what, error, hint }
    }
}

impl Command {
    /// A command by name (looked up in `PATH`) or by path (when it has a slash).
    pub fn new(program: impl Into<OsString>) -> Self {
        Command {
            program: program.into(),
            args: Vec::new(),
            user: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: Into<OsString>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs it as another user and group, without supplementary groups; only root may.
    #[must_use]
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Some((uid, gid));
        self
    }

    /// Finds the file and builds what `execve` takes.
    pub(in crate::hooks) fn prepare(&self) -> Result<Prepared, StartError> {
        let shown = self.program.to_string_lossy().into_owned();
        let c_string = |text: &OsStr| {
            CString::new(text.as_bytes()).map_err(|_| StartError::ZeroByte(shown.clone()))
        };
        let path = find(&self.program)?;
        let mut args = vec![c_string(&self.program)?];
        for arg in &self.args {
            args.push(c_string(arg)?);
        }
        let mut environment = Vec::new();
        for (key, value) in std::env::vars_os() {
            let mut pair = key;
            pair.push("=");
            pair.push(value);
            environment.push(c_string(&pair)?);
        }
        let path = c_string(path.as_os_str())?;
        Ok(Prepared {
            shown,
            path,
            args,
            environment,
            user: self.user,
            default_signals: Vec::new(),
        })
    }
}

/// A command as `execve` takes it.
pub(in crate::hooks) struct Prepared {
    pub shown: String,
    pub path: CString,
    pub args: Vec<CString>,
    pub environment: Vec<CString>,
    pub user: Option<(u32, u32)>,
    pub default_signals: Vec<libc::c_int>,
}

fn find(program: &OsStr) -> Result<PathBuf, StartError> {
    let shown = || program.to_string_lossy().into_owned();
    if program.is_empty() {
        return Err(StartError::NotFound("''".into()));
    }
    if program.as_bytes().contains(&b'/') {
        let path = PathBuf::from(program);
        return match check(&path) {
            Ok(()) => Ok(path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(StartError::NotFound(shown())),
            Err(e) => Err(StartError::NotExecutable(shown(), e)),
        };
    }
    let search = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut refused = None;
    for directory in std::env::split_paths(&search) {
        let path = if directory.as_os_str().is_empty() {
            Path::new(".").join(program)
        } else {
            directory.join(program)
        };
        match check(&path) {
            Ok(()) => return Ok(path),
            // It is there and cannot be executed; a directory that cannot be searched has nothing.
            Err(e) if path.exists() => refused = refused.or(Some(e)),
            Err(_) => {}
        }
    }
    Err(match refused {
        Some(e) => StartError::NotExecutable(shown(), e),
        None => StartError::NotFound(shown()),
    })
}

/// A regular file with some execute bit; whether *we* may is for `execve` to say.
fn check(path: &Path) -> io::Result<()> {
    let meta = std::fs::metadata(path)?;
    if meta.is_dir() || meta.permissions().mode() & 0o111 == 0 {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_started_is_told_before_a_fork() {
        let error = |c: &str| Command::new(c).prepare().err().map(|e| e.to_string());
        assert_eq!(
            error("no-such-command-here").as_deref(),
            Some("no-such-command-here: command not found")
        );
        assert_eq!(
            error("/no/such").as_deref(),
            Some("/no/such: command not found")
        );
        assert!(error("/etc").is_some_and(|e| e.starts_with("/etc: Permission denied")));
        assert!(error("/etc/passwd").is_some_and(|e| e.contains("Permission denied")));
        assert!(error("").is_some());
        let zero = Command::new("true").arg("a\0b").prepare().err();
        assert!(matches!(zero, Some(StartError::ZeroByte(_))));
    }

    #[test]
    fn shells_number_for_a_signal() {
        assert_eq!(ExitStatus::Signal(9).code(), 137);
        assert_eq!(ExitStatus::Code(3).code(), 3);
    }

    #[test]
    fn a_bare_name_is_found_in_path() {
        let found = Command::new("sh").arg("-c").prepare().expect("sh");
        assert!(found.path.to_bytes().ends_with(b"/sh"));
        assert_eq!(found.args[0].to_bytes(), b"sh");
    }
}
