//! One case for each kind of probe in user space.

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use libtest_mimic::Trial;

use crate::common::{Run, panal_with, root, runs};

pub const OBJECT: &str = "crates/cli/tests/objects/probes.bpf.o";

/// A program, how often it must run, and what its kind is called where the kernel has none.
const CASES: &[(&str, u64)] = &[
    ("on_uprobe", 2),
    ("on_uretprobe", 2),
    ("on_sleepable", 2),
    ("on_sleepable_return", 2),
    ("on_multi", 3),
    ("on_multi_return", 3),
    // At entry and at return.
    ("on_session", 4),
    ("on_usdt", 2),
];

pub fn tests() -> Vec<Trial> {
    let case = |(program, count): &'static (&'static str, u64)| {
        Trial::test(format!("fires::{program}"), move || {
            fires(program, *count);
            Ok(())
        })
    };
    let mut all: Vec<Trial> = CASES.iter().map(case).collect();
    all.push(Trial::test("a_process_is_probed_until_it_ends", || {
        a_process();
        Ok(())
    }));
    all.push(Trial::test("what_is_not_there_is_told", || {
        not_there();
        Ok(())
    }));
    all
}

/// `PATH` with a directory in front that has this binary under the name that sections have.
pub fn path() -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probed");
    std::fs::create_dir_all(&folder).expect("a directory");
    let own = std::env::current_exe().expect("readable");
    // Another run may have left one, of another binary; another test may use it now.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let new = folder.join(format!("new-{}-{number}", std::process::id()));
    symlink(own, &new).expect("a link");
    std::fs::rename(new, folder.join("panal-probed")).expect("renamed");
    let before = std::env::var("PATH").unwrap_or_default();
    format!("{}:{before}", folder.display())
}

/// Runs a program of the object; `None` when this machine cannot, which is told.
fn run(program: &str, rest: &[&str]) -> Option<Run> {
    let words = [
        "run",
        OBJECT,
        "--kernel",
        "linux",
        "--json",
        "--program",
        program,
    ];
    let run = panal_with(&[&words[..], rest].concat(), &[("PATH", &path())], b"");
    let lacks = ["EPERM", "EOPNOTSUPP", "a cgroup for the command"];
    if run.code == Some(2) && lacks.iter().any(|lack| run.stderr.contains(lack)) {
        println!("skipped: {}", run.stderr.trim_end());
        return None;
    }
    Some(run)
}

fn fires(program: &str, count: u64) {
    let Some(run) = run(program, &["--", "panal-probed", "actor"]) else {
        return;
    };
    assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{}", run.stdout);
    assert_eq!(runs(&run.stdout, program), count, "{}", run.stdout);
}

/// Without a command: the process is there before, and the run ends with it.
fn a_process() {
    let own = std::env::current_exe().expect("readable");
    let mut process = Command::new(own)
        .args(["actor", "wait"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut panal = Command::new(env!("CARGO_BIN_EXE_panal"))
        .current_dir(root())
        .env("PATH", path())
        .args(["run", OBJECT, "--kernel", "linux", "--json"])
        .args(["--program", "on_uprobe", "--pid", &process.id().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut line = String::new();
    let mut errors = BufReader::new(panal.stderr.take().expect("piped"));
    errors.read_line(&mut line).expect("readable");
    drop(process.stdin.take());
    process.wait().expect("ends");
    let output = panal.wait_with_output().expect("ends");
    if line.contains("EPERM") {
        return println!("skipped: {}", line.trim_end());
    }
    assert_eq!(line, "note: 1 program attached; Ctrl-C ends\n");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    assert_eq!(runs(&stdout, "on_uprobe"), 2, "{stdout}");
}

fn not_there() {
    for (program, says) in [
        (
            "on_missing",
            "panal-probed: it has no USDT probe panal:missing",
        ),
        ("on_no_function", "no_such_function"),
    ] {
        let Some(run) = run(program, &["--", "panal-probed", "actor"]) else {
            return;
        };
        let problem = run.problem();
        assert!(problem.contains(says), "{problem}");
        assert!(problem.contains(program), "{problem}");
    }
}
