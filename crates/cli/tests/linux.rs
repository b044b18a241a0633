//! `panal run --kernel linux`: the running kernel.
#![cfg(target_os = "linux")]

mod common;

use std::{fs, process::Command};

use common::{Run, panal};

const OPENSNOOP: &str = "examples/opensnoop.bpf.o";

/// Whether this machine can be asked; if not, why.
fn linux(run: &Run) -> bool {
    if run.code == Some(2) && (run.stderr.contains("EPERM") || run.stderr.contains("cgroup")) {
        println!("skipped: {}", run.stderr.trim_end());
        return false;
    }
    true
}

/// Paths that were opened, by the command's name.
fn opened(run: &Run, by: &str) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    run.json()
        .iter()
        .map(|line| &line["event"])
        .filter(|event| event["comm"] == by)
        .map(|event| text(&event["path"]))
        .collect()
}

#[test]
fn a_command_is_seen_from_its_first_call_with_all_that_it_starts() {
    let script = "cat /etc/hostname >/dev/null; (cat /etc/passwd >/dev/null &)";
    let command = ["--kernel", "linux", "--json", "--", "sh", "-c", script];
    let run = panal(&[&["run", OPENSNOOP], &command[..]].concat());
    if !linux(&run) {
        return;
    }
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    // The dynamic linker's are the first of all.
    let first = opened(&run, "sh");
    assert!(
        first.iter().any(|path| path == "/etc/ld.so.cache"),
        "{first:?}"
    );
    let cat = opened(&run, "cat");
    for file in ["/etc/hostname", "/etc/passwd"] {
        assert!(cat.iter().any(|path| path == file), "{file} in {cat:?}");
    }
}

#[test]
fn what_others_do_is_not_seen() {
    let script = "while :; do cat /etc/hostname >/dev/null; done";
    let mut other = Command::new("sh").args(["-c", script]).spawn().expect("sh");
    let run = panal(&[
        "run", OPENSNOOP, "--kernel", "linux", "--json", "--", "sleep", "0.3",
    ]);
    let process = other.id().to_string();
    let args = ["run", OPENSNOOP, "--kernel", "linux", "--json"];
    let filter = ["--pid", &process, "--duration", "0.3"];
    let one = panal(&[&args[..], &filter].concat());
    let _ = other.kill();
    let _ = other.wait();
    if !linux(&run) {
        return;
    }
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(!opened(&run, "sleep").is_empty());
    let of = |name| opened(&run, name);
    assert_eq!((of("sh").len(), of("cat").len()), (0, 0));
    // The shell itself opens /dev/null for every cat, and the cats are other processes.
    assert_eq!(one.code, Some(0), "{}", one.stderr);
    let paths = opened(&one, "sh");
    assert!(paths.iter().any(|path| path == "/dev/null"), "{paths:?}");
    assert!(paths.iter().all(|path| path == "/dev/null"), "{paths:?}");
}

#[test]
fn the_commands_cgroup_goes_with_it() {
    let args = [
        "run",
        OPENSNOOP,
        "--kernel",
        "linux",
        "--",
        "cat",
        "/proc/self/cgroup",
    ];
    let run = panal(&args);
    if !linux(&run) {
        return;
    }
    let cgroup = run.stdout.lines().find_map(|line| line.strip_prefix("0::"));
    let cgroup = cgroup.expect("a cgroup").to_owned();
    assert!(cgroup.contains("panal-"), "{cgroup}");
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let mut words = mounts.lines().map(|line| line.split(' '));
    let mount = words.find_map(|mut w| (w.next()? == "cgroup2").then(|| w.next())?);
    let path = format!("{}{cgroup}", mount.expect("mounted"));
    assert!(!fs::exists(&path).expect("readable"), "{path}");
}

#[test]
fn a_command_that_does_not_start_is_told() {
    let run = panal(&[
        "run",
        OPENSNOOP,
        "--kernel",
        "linux",
        "--",
        "no-such-command-here",
    ]);
    if !linux(&run) {
        return;
    }
    assert_eq!(run.problem(), "no-such-command-here: command not found");
}
