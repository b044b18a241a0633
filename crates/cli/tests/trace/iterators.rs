//! What iterators go through, and programs that are run rather than attached.

use libtest_mimic::Trial;

use crate::common::{Run, panal, scratch};

const ITERATORS: &str = "crates/linux/tests/objects/iterators.bpf.o";
const TRACE: &str = "crates/linux/tests/objects/trace.bpf.o";

pub fn tests() -> Vec<Trial> {
    let trial = |name: &'static str, body: fn()| {
        Trial::test(format!("iterators::{name}"), move || {
            body();
            Ok(())
        })
    };
    vec![
        trial("tasks_of_a_process", tasks),
        trial("cgroups", cgroups),
        trial("maps", maps),
        trial("a_writable_tracepoint_changes_a_result", writable),
        trial("programs_that_are_run", run_once),
    ]
}

fn run(program: &str, options: &[&str]) -> Option<Run> {
    let words = ["run", ITERATORS, "--kernel", "linux", "--program", program];
    linux(panal(&[&words[..], options].concat()))
}

fn linux(run: Run) -> Option<Run> {
    let lacks = ["EPERM", "EOPNOTSUPP", "a cgroup for the command"];
    if run.code == Some(2) && lacks.iter().any(|lack| run.stderr.contains(lack)) {
        println!("skipped: {}", run.stderr.trim_end());
        return None;
    }
    assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{}", run.stdout);
    Some(run)
}

/// A line `tgid tid` for each of this test's own threads.
fn tasks() {
    let own = std::process::id().to_string();
    let Some(run) = run("tasks", &["--pid", &own]) else {
        return;
    };
    assert!(!run.stdout.is_empty());
    for line in run.stdout.lines() {
        assert_eq!(line.split(' ').next(), Some(&*own), "{line}");
    }
    let main = format!("{own} {own}");
    assert!(
        run.stdout.lines().any(|line| line == main),
        "{}",
        run.stdout
    );
}

/// The first is the cgroup that was named, by the number of its directory.
fn cgroups() {
    use std::os::unix::fs::MetadataExt;
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    let mut words = mounts.lines().map(|line| line.split(' '));
    let root = words.find_map(|mut w| (w.next()? == "cgroup2").then(|| w.next())?);
    let Some(root) = root else {
        return println!("skipped: no cgroup2 file system is mounted");
    };
    let Some(run) = run("cgroups", &["--iterate", &format!("cgroup={root}")]) else {
        return;
    };
    let number = std::fs::metadata(root).expect("readable").ino().to_string();
    assert_eq!(run.stdout.lines().next(), Some(&*number), "{}", run.stdout);
}

/// The object's own map is among them while it is read: ids are told in order.
fn maps() {
    let Some(run) = run("maps", &[]) else {
        return;
    };
    let ids: Vec<u32> = run
        .stdout
        .lines()
        .map(|id| id.parse().expect("an id"))
        .collect();
    assert!(!ids.is_empty() && ids.is_sorted(), "{ids:?}");
}

/// What the program writes at the end of the command's test run becomes that run's error.
fn writable() {
    let packet = scratch("writable.bin", &[0; 64]);
    let own = env!("CARGO_BIN_EXE_panal");
    let inner = format!(
        "{own} prog run {ITERATORS} --kernel linux --program passes --data-in {packet} 2>&1"
    );
    let run = panal(&[
        "run",
        TRACE,
        "--kernel",
        "linux",
        "--program",
        "on_raw_tracepoint_writable",
        "--json",
        "--output",
        "/dev/null",
        "--",
        "sh",
        "-c",
        &format!("{inner}; true"),
    ]);
    let Some(run) = linux(run) else { return };
    assert!(
        run.stdout.contains("BPF_PROG_TEST_RUN: ENOSPC"),
        "{}",
        run.stdout
    );
}

/// `syscall` programs, and raw tracepoints with given arguments.
fn run_once() {
    // `args[1]` is the number of a call that the program looks for: getpriority.
    let arguments: Vec<u8> = [0u64, 140, 0]
        .iter()
        .flat_map(|a| a.to_ne_bytes())
        .collect();
    let context = scratch("raw-tracepoint.bin", &arguments);
    for (object, program) in [
        (TRACE, "on_raw_tracepoint"),
        ("crates/cli/tests/objects/syscall.bpf.o", "add"),
    ] {
        let run = panal(&[
            "prog",
            "run",
            object,
            "--kernel",
            "linux",
            "--program",
            program,
            "--ctx-in",
            &context,
            "--json",
        ]);
        let Some(run) = linux(run) else { return };
        assert_eq!(run.json()[0]["program"], program);
    }
}
