//! `panal run --kernel linux`: the running kernel.
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

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

const TRACE: &str = "crates/linux/tests/objects/trace.bpf.o";

/// Every way of tracing that can be tried on a command: `nice` asks for its own priority.
#[test]
fn programs_of_every_kind_see_the_command() {
    let own = Command::new("nice").output().expect("nice is there");
    let own = String::from_utf8_lossy(&own.stdout).into_owned();
    for (program, kind) in [
        ("on_tracepoint", 0),
        ("on_raw_tracepoint", 1),
        ("on_tp_btf", 3),
        ("on_uprobe_library", 7),
        ("on_kprobe", 13),
        ("on_kretprobe", 14),
        ("on_fentry", 17),
        ("on_fexit", 18),
    ] {
        let run = panal(&[
            "run",
            TRACE,
            "--kernel",
            "linux",
            "--program",
            program,
            "--json",
            "--output",
            "/dev/stderr",
            "--",
            "nice",
        ]);
        let lacks = ["EPERM", "EOPNOTSUPP", "cgroup"];
        // The error is JSON, as the events are.
        if run.code == Some(2) && lacks.iter().any(|lack| run.stdout.contains(lack)) {
            println!("skipped: {}", run.stdout.trim_end());
            continue;
        }
        assert_eq!((run.code, &*run.stdout), (Some(0), &*own), "{}", run.stderr);
        let line: serde_json::Value = serde_json::from_str(&run.stderr).expect("one line");
        assert_eq!(line["key"], kind, "{program}");
        assert_eq!(line["value"]["count"], 1, "{program}");
    }
}

#[test]
fn a_command_is_sampled_and_nothing_else() {
    let spin = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo $$";
    let run = panal(&[
        "run",
        TRACE,
        "--kernel",
        "linux",
        "--program",
        "on_sample",
        "--sample",
        "cpu-clock@999",
        "--json",
        "--output",
        "/dev/stderr",
        "--",
        "sh",
        "-c",
        spin,
    ]);
    if !linux(&run) {
        return;
    }
    let line: serde_json::Value = serde_json::from_str(&run.stderr).expect("one line");
    let seen = &line["value"];
    assert!(seen["count"].as_u64() > Some(10), "{line}");
    assert_eq!(seen["value"].to_string(), run.stdout.trim_end());
}

#[test]
fn iterators_are_read_and_printed() {
    let object = "crates/linux/tests/objects/iterators.bpf.o";
    let run = panal(&[
        "run",
        object,
        "--kernel",
        "linux",
        "--program",
        "elements",
        "--iterate",
        "map=squares",
        "--map",
        "squares=7:49",
    ]);
    if !linux(&run) {
        return;
    }
    assert_eq!(
        (run.code, &*run.stdout),
        (Some(0), "7 49\n"),
        "{}",
        run.stderr
    );
}

/// Starts a run without an end, and waits until its programs are attached.
fn started() -> Option<Child> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_panal"))
        .current_dir(common::root())
        .args([
            "run",
            TRACE,
            "--kernel",
            "linux",
            "--program",
            "on_tracepoint",
            "--json",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("panal starts");
    let mut line = String::new();
    let stderr = child.stderr.take().expect("piped");
    BufReader::new(stderr).read_line(&mut line).expect("text");
    if line.starts_with("error") {
        println!("skipped: {line}");
        let _ = child.wait();
        return None;
    }
    assert!(line.contains("1 program attached"), "{line}");
    Some(child)
}

/// Ids of the programs that a process holds.
fn programs_of(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .into_iter()
        .flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let ids = texts.filter_map(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("prog_id:"))?;
        Some(line.trim().to_owned())
    });
    ids.collect()
}

#[test]
fn nothing_is_left_of_a_run_that_a_signal_ends() {
    for signal in ["-INT", "-TERM", "-KILL"] {
        let Some(mut child) = started() else { return };
        let programs = programs_of(child.id());
        assert!(!programs.is_empty());
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .expect("kill")
                .success()
        );
        let status = child.wait().expect("it ends");
        assert_eq!(status.success(), signal != "-KILL", "{signal}");
        // Linux frees what no descriptor holds, after a moment.
        let end = Instant::now() + Duration::from_secs(5);
        for id in programs {
            let listed = |id: &str| {
                Command::new("bpftool")
                    .args(["prog", "show", "id", id])
                    .output()
                    .map(|o| o.status)
            };
            loop {
                match listed(&id) {
                    Err(e) => return println!("skipped: bpftool: {e}"),
                    Ok(status) if !status.success() => break,
                    Ok(_) => assert!(
                        Instant::now() < end,
                        "{signal}: program {id} is still there"
                    ),
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

#[test]
fn the_cgroup_of_a_killed_run_goes_when_its_command_ends() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_panal"))
        .current_dir(common::root())
        .args([
            "run",
            OPENSNOOP,
            "--kernel",
            "linux",
            "--output",
            "/dev/null",
            "--",
        ])
        .args(["sh", "-c", "grep ^0:: /proc/self/cgroup; exec sleep 1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("panal starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("text");
    let Some(cgroup) = line.trim_end().strip_prefix("0::") else {
        let _ = child.wait();
        return println!("skipped: no cgroup, or no bpf(2)");
    };
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let mut words = mounts.lines().map(|line| line.split(' '));
    let mount = words.find_map(|mut w| (w.next()? == "cgroup2").then(|| w.next())?);
    let path = format!("{}{cgroup}", mount.expect("mounted"));
    assert!(fs::exists(&path).expect("readable"), "{path}");
    child.kill().expect("killed");
    let _ = child.wait();
    let end = Instant::now() + Duration::from_secs(10);
    while fs::exists(&path).expect("readable") {
        assert!(Instant::now() < end, "{path} is left");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_missing_right_is_named() {
    let object = fs::canonicalize(common::root().join(OPENSNOOP)).expect("there");
    let copy = std::env::temp_dir().join(format!("panal-{}", std::process::id()));
    common::copy_command(&copy);
    let run = common::without_rights(&copy)
        .args(["verify", "--kernel", "linux", "--json"])
        .arg(common::scratch(
            "rights.bpf.o",
            &fs::read(object).expect("readable"),
        ))
        .output();
    let _ = fs::remove_file(&copy);
    let output = match run {
        Ok(output) if !output.stderr.starts_with(b"setpriv:") => output,
        _ => return println!("skipped: setpriv (util-linux) cannot drop rights here"),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let needed = ["EPERM", "CAP_BPF"];
    assert!(needed.iter().all(|word| text.contains(word)), "{text}");
}
