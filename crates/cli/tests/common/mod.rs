//! Runs the command as a user would.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What came of a run.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Every line of standard output as JSON.
    #[allow(dead_code)] // not every test file reads JSON
    pub fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// What is said on the one line of standard error, or as JSON on standard output; the exit code
    /// must be 2.
    #[track_caller]
    #[allow(dead_code)]
    pub fn problem(&self) -> String {
        assert_eq!(
            self.code,
            Some(2),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        let last = self.stdout.lines().last().unwrap_or_default();
        if let Ok(json) = serde_json::from_str::<serde_json::Value>(last)
            && let Some(message) = json["error"]["message"].as_str()
        {
            assert!(json["error"]["class"].is_string(), "{last}");
            return message.to_owned();
        }
        assert_eq!(self.stderr.lines().count(), 1, "one line: {}", self.stderr);
        self.stderr
            .trim_end()
            .strip_prefix("error: ")
            .expect("begins with `error: `")
            .to_owned()
    }
}

/// A program as a user without any right runs it.
#[allow(dead_code)]
pub fn without_rights(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--clear-groups"])
        .args(["--bounding-set", "-all", "--inh-caps", "-all"])
        .arg(program)
        .current_dir("/");
    command
}

/// Runs `panal` in the repository's root.
#[allow(dead_code)]
pub fn panal(arguments: &[&str]) -> Run {
    panal_with(arguments, &[], b"")
}

/// The same with variables of the environment and standard input.
#[allow(dead_code)]
pub fn panal_with(arguments: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_panal"))
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("panal starts");
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(input);
    let output = child.wait_with_output().expect("panal ends");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Copies the command.
#[allow(dead_code)]
pub fn copy_command(to: &Path) {
    panal_testkit::commands::copy_executable(Path::new(env!("CARGO_BIN_EXE_panal")), to);
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The objects of Debian's xdp-tools package, if it is installed.
#[allow(dead_code)]
pub fn xdp_tools() -> Option<Vec<String>> {
    let folder = format!("/usr/lib/{}-linux-gnu/bpf", std::env::consts::ARCH);
    let entries = std::fs::read_dir(folder).ok()?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path().to_str()?.to_owned()));
    let mut objects: Vec<String> = paths.filter(|path| path.ends_with(".o")).collect();
    objects.sort();
    (!objects.is_empty()).then_some(objects)
}

/// A file of this test program's own.
#[allow(dead_code)]
pub fn scratch(name: &str, contents: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, contents).expect("writable");
    path.to_str().expect("UTF-8").to_owned()
}

/// How often a program ran, as the map `runs` that it counts in was printed.
#[allow(dead_code)]
pub fn runs(events: &str, program: &str) -> u64 {
    let lines = events.lines().map(|line| {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"))
    });
    lines
        .filter(|line| line["map"] == "runs" && line["key"] == program)
        .filter_map(|line| line["value"].as_u64())
        .sum()
}
