//! Observation: system calls, forks, execs, exits, signals.

use std::{collections::BTreeMap, os::unix::process::ExitStatusExt};

use libtest_mimic::{Failed, Trial};
use panal_kernel::hooks::{
    Command, ExitStatus, StartError,
    tree::{Demand, SyscallSet, supervise},
};

use crate::support::{Event, Recorder, actor, copy_binary, demand, ordinary, run, scratch, sh};

pub fn tests() -> Vec<Trial> {
    let test = |name: &str, body: fn()| {
        Trial::test(format!("observe::{name}"), move || {
            body();
            Ok::<(), Failed>(())
        })
    };
    vec![
        test("opens_are_heard_with_paths_and_true_values", opens),
        test("an_entry_alone_is_heard_by_notification", entries),
        test("exit_codes_and_signals_come_through", endings),
        test("what_cannot_run_is_an_error", not_started),
        test("forks_execs_and_exits_are_heard", lives),
        test(
            "a_thread_that_executes_takes_the_process_over",
            exec_from_thread,
        ),
        test("job_control_works", || {
            assert_eq!(
                run(&actor(&["stop-and-go"]), Demand::default()).0,
                ExitStatus::Code(6)
            );
        }),
        test("a_storm_of_forks_and_threads_is_heard_whole", storm),
        test("counts_agree_with_strace", strace),
        test("all_system_calls_at_once", everything),
        test("a_new_name_is_known", renamed),
        test("the_tree_dies_with_its_supervisor", orphaned),
        test("everything_again_as_an_ordinary_user", as_ordinary_user),
        test("a_signal_handler_runs_while_calls_are_told", signals),
    ]
}

fn opens() {
    let demand = demand(&["openat"], &["openat"]);
    let (status, heard) = run(&sh("cat /etc/passwd /no/such >/dev/null 2>&1"), demand);
    assert_eq!(status, ExitStatus::Code(1));
    let events = heard.events();
    let result = |wanted: &str| {
        let at = events
            .iter()
            .position(|e| matches!(e, Event::Enter { path: Some(p), .. } if p == wanted))
            .expect("entered");
        match &events[at + 1] {
            Event::Exit {
                name: "openat",
                value,
                ..
            } => *value,
            other => panic!("{other:?}"),
        }
    };
    assert!(result("/etc/passwd") >= 3);
    assert_eq!(result("/no/such"), -i64::from(libc::ENOENT));
}

fn entries() {
    let (status, heard) = run(&sh("cat /etc/passwd >/dev/null"), demand(&["openat"], &[]));
    assert_eq!(status, ExitStatus::Code(0));
    let passwd = |e: &Event| matches!(e, Event::Enter { path: Some(p), .. } if p == "/etc/passwd");
    assert_eq!(heard.events().iter().filter(|e| passwd(e)).count(), 1);
    assert!(heard.returns().is_empty());
}

fn endings() {
    let ends = |script: &str| run(&sh(script), Demand::default()).0;
    assert_eq!(ends("exit 0"), ExitStatus::Code(0));
    assert_eq!(ends("exit 42"), ExitStatus::Code(42));
    assert_eq!(ends("kill -TERM $$"), ExitStatus::Signal(libc::SIGTERM));
    assert_eq!(ends("kill -KILL $$"), ExitStatus::Signal(libc::SIGKILL));
    assert_eq!(ends("kill -INT $$").code(), 130);
    // What it leaves behind is waited for, and does not change how it ended.
    let start = std::time::Instant::now();
    assert_eq!(ends("(sleep 0.3; exit 9) & exit 4"), ExitStatus::Code(4));
    assert!(start.elapsed().as_millis() >= 300);
}

fn not_started() {
    let error = |command: Command| {
        let watcher = std::sync::Arc::new(Recorder::default());
        supervise(&command, watcher, Demand::default(), &mut || {}).expect_err("no such command")
    };
    assert!(matches!(
        error(Command::new("no-such-command-xyz")),
        StartError::NotFound(_)
    ));
    assert!(matches!(
        error(Command::new("/etc/passwd")),
        StartError::NotExecutable(..)
    ));
    let directory = scratch("garbage");
    let garbage = directory.join("garbage");
    std::fs::write(&garbage, b"\x7fELF is not what this is").expect("write");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&garbage, mode).expect("mode");
    let text = error(Command::new(&garbage)).to_string();
    assert!(text.contains("Exec format error"), "{text}");
    // The same with everything trapped on the way.
    let watcher = std::sync::Arc::new(Recorder::default());
    let all = Demand {
        exit: SyscallSet::all(),
        ..Demand::default()
    };
    let again = supervise(&Command::new(&garbage), watcher, all, &mut || {});
    assert!(matches!(again, Err(StartError::NotExecutable(..))));
}

fn lives() {
    let (_, heard) = run(&sh("/bin/true; (exit 3); /bin/false"), Demand::default());
    let events = heard.events();
    let forks = events
        .iter()
        .filter(|e| matches!(e, Event::Forked { .. }))
        .count();
    let names: Vec<&str> = events
        .iter()
        .filter_map(|e| match e {
            Event::Executed { comm, .. } => Some(comm.as_str()),
            _ => None,
        })
        .collect();
    let ends: Vec<i32> = events
        .iter()
        .filter_map(|e| match e {
            Event::Exited {
                status, last: true, ..
            } => Some(*status),
            _ => None,
        })
        .collect();
    // The last command of a shell may be executed in its place.
    assert!(forks == 2 || forks == 3, "{events:?}");
    assert_eq!(names, ["sh", "true", "false"]);
    assert!(
        ends.contains(&(3 << 8)) && ends.contains(&(1 << 8)),
        "{events:?}"
    );
}

fn exec_from_thread() {
    for _ in 0..5 {
        let demand = demand(&["openat", "execve"], &["execve"]);
        let (status, heard) = run(&actor(&["exec-from-thread"]), demand);
        assert_eq!(status, ExitStatus::Code(5));
        let events = heard.events();
        let other = events.iter().any(|e| {
            matches!(e, Event::Executed { tgid, former, comm } if tgid != former && comm == "sh")
        });
        assert!(other, "a thread that is not the leader executed");
        assert_eq!(heard.returns()["execve"], (2, 0));
    }
}

fn storm() {
    const ROUNDS: usize = 50;
    for exit in [&["openat"][..], &[]] {
        let (status, heard) = run(&actor(&["storm", "50"]), demand(&["openat"], exit));
        assert_eq!(status, ExitStatus::Code(0));
        let events = heard.events();
        let null = |e: &&Event| matches!(e, Event::Enter { path: Some(p), .. } if p == "/dev/null");
        assert_eq!(events.iter().filter(null).count(), 4 * ROUNDS * 3);
        let forks = events
            .iter()
            .filter(|e| matches!(e, Event::Forked { .. }))
            .count();
        assert_eq!(forks, 4 + 4 * ROUNDS * 2);
        let ends = events
            .iter()
            .filter(|e| matches!(e, Event::Exited { .. }))
            .count();
        assert_eq!(ends, forks + 1);
        let last = |e: &&Event| matches!(e, Event::Exited { last: true, .. });
        assert_eq!(events.iter().filter(last).count(), 1 + 4 * ROUNDS);
    }
}

/// The same command under strace and under us: as many calls and errors of each name.
fn strace() {
    let names = [
        "openat",
        "read",
        "close",
        "mmap",
        "newfstatat",
        "execve",
        "brk",
    ];
    let directory = scratch("strace");
    let out = directory.join("out");
    let script = "ls / /no/such >/dev/null 2>&1; cat /etc/passwd >/dev/null";
    let traced = std::process::Command::new("strace")
        .args(["-f", "-o"])
        .arg(&out)
        .arg("-e")
        .arg(format!("trace={}", names.join(",")))
        .args(["/bin/sh", "-c", script])
        .status();
    match traced {
        Ok(status) if status.signal().is_none() => {}
        _ => {
            println!("skipped: strace is not installed or cannot trace here");
            return;
        }
    }
    let mut expected: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for line in std::fs::read_to_string(&out)
        .expect("strace's output")
        .lines()
    {
        let Some((_, rest)) = line.trim_start().split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        let name = match rest.strip_prefix("<... ") {
            Some(resumed) => resumed.split(' ').next(),
            None if rest.contains("<unfinished ...>") => continue,
            None => rest.split_once('(').map(|(name, _)| name),
        };
        let Some(name) = name.filter(|n| names.contains(n)) else {
            continue;
        };
        let entry = expected.entry(name.to_owned()).or_default();
        entry.0 += 1;
        entry.1 += usize::from(rest.contains(" = -1 "));
    }
    let mut command = Command::new("/bin/sh").args(["-c", script]);
    if !rustix::process::geteuid().is_root() {
        command = ordinary(command);
    }
    let (_, heard) = run(&command, demand(&[], &names));
    assert_eq!(heard.returns(), expected);
}

fn everything() {
    let all = Demand {
        enter: SyscallSet::all(),
        exit: SyscallSet::all(),
        ..Demand::default()
    };
    let (status, heard) = run(&sh("ls / >/dev/null; exit 7"), all);
    assert_eq!(status, ExitStatus::Code(7));
    let entered: Vec<_> = heard
        .events()
        .into_iter()
        .filter_map(|e| match e {
            Event::Enter { name, .. } => Some(name),
            _ => None,
        })
        .collect();
    assert_eq!(entered.first(), Some(&"execve"));
    assert_eq!(entered.last(), Some(&"exit_group"));
    let returned: usize = heard.returns().values().map(|v| v.0).sum();
    // Every call returns, but the two that end.
    assert_eq!(returned + 2, entered.len());
    let (status, heard) = run(
        &sh("exit 8"),
        Demand {
            enter: SyscallSet::all(),
            ..Demand::default()
        },
    );
    assert_eq!(status, ExitStatus::Code(8));
    assert!(heard.events().len() > 20);
}

fn renamed() {
    let script = "printf x >/proc/self/comm; exec /bin/true";
    let (status, heard) = run(&sh(script), Demand::default());
    assert_eq!(status, ExitStatus::Code(0));
    let named = |e: &Event| matches!(e, Event::Executed { comm, .. } if comm == "true");
    assert!(heard.events().iter().any(named));
}

fn signals() {
    let script = "trap 'n=$((n+1))' USR1; n=0; i=0
        while [ $i -lt 50 ]; do kill -USR1 $$; cat /dev/null; i=$((i+1)); done; exit $n";
    for exit in [&["openat"][..], &[]] {
        let (status, _) = run(&sh(script), demand(&["openat"], exit));
        assert_eq!(status, ExitStatus::Code(50));
    }
}

/// Kills a supervisor, and waits for the end of what it supervised.
fn orphaned() {
    let mut supervisor = std::process::Command::new(std::env::current_exe().expect("own path"))
        .args(["actor", "supervise", "echo $$; exec sleep 100"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("supervisor");
    let mut line = String::new();
    let out = supervisor.stdout.take().expect("output");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("line");
    let child: u32 = line.trim().parse().expect("process id");
    assert!(std::fs::exists(format!("/proc/{child}")).expect("procfs"));
    supervisor.kill().expect("kill");
    supervisor.wait().expect("wait");
    let gone = || match std::fs::read_to_string(format!("/proc/{child}/stat")) {
        Ok(stat) => stat.contains(") Z"),
        Err(_) => true,
    };
    for _ in 0..200 {
        if gone() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("process {child} outlived its supervisor");
}

/// Root's supervisor has rights that others lack: the same again without them.
fn as_ordinary_user() {
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        println!("skipped: these tests run as an ordinary user already");
        return;
    }
    let binary = scratch("ordinary").join("tree");
    copy_binary(&binary);
    for part in ["observe::", "policy::"] {
        let output = std::process::Command::new(&binary)
            .arg(part)
            .uid(65534)
            .gid(65534)
            .current_dir("/")
            .output()
            .expect("started");
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{errors}");
        assert!(text.contains("test result: ok"), "{text}");
    }
}
