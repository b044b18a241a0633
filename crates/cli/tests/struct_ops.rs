//! struct_ops: TCP congestion control by BPF, on the running kernel; Panal's own only verifies it.
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

use common::{panal, scratch};

const OBJECT: &str = "crates/cli/tests/objects/struct_ops.bpf.o";
/// The names that the object's variables give themselves.
const NAMES: [&str; 2] = ["panal_map", "panal_link"];

/// One test at a time: a name can be registered once.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which of the object's ways of congestion control Linux has.
fn available() -> Vec<&'static str> {
    let path = "/proc/sys/net/ipv4/tcp_available_congestion_control";
    let text = fs::read_to_string(path).expect("readable");
    let has = |name: &&str| text.split_whitespace().any(|word| word == *name);
    NAMES.into_iter().filter(has).collect()
}

/// Waits until nothing of the object is registered.
fn gone() {
    let end = Instant::now() + Duration::from_secs(5);
    while !available().is_empty() && Instant::now() < end {
        sleep(Duration::from_millis(20));
    }
    assert_eq!(available(), [""; 0], "still registered");
}

/// A run whose command is `cat`, which has answered: everything is registered.
fn started() -> Option<Child> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_panal"))
        .current_dir(common::root())
        .args(["run", OBJECT, "--kernel", "linux", "--json", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("panal starts");
    let stdin = child.stdin.as_mut().expect("piped");
    let _ = stdin.write_all(b"ready\n");
    let mut line = [0; 6];
    let stdout = child.stdout.as_mut().expect("piped");
    if stdout.read_exact(&mut line).is_err() {
        let output = child.wait_with_output().expect("ends");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            text.contains("EPERM") || text.contains("cgroup"),
            "fails for another reason than rights: {text}"
        );
        println!("skipped: {text}");
        return None;
    }
    assert_eq!(&line, b"ready\n");
    Some(child)
}

/// Sends over loopback under this congestion control.
fn talk(control: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut ours = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
    let (mut theirs, _) = listener.accept().expect("accepts");
    // SAFETY: the name's bytes outlive the call, which only reads them.
    let set = unsafe {
        libc::setsockopt(
            ours.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            control.as_ptr().cast(),
            control.len() as u32,
        )
    };
    assert_eq!(set, 0, "{control}: {}", std::io::Error::last_os_error());
    let mut buffer = [0; 4096];
    for _ in 0..32 {
        ours.write_all(&[7; 4096]).expect("sends");
        theirs.read_exact(&mut buffer).expect("receives");
    }
}

#[test]
fn a_connection_is_controlled_by_either_way_of_registering() {
    let _alone = alone();
    let Some(mut child) = started() else { return };
    assert_eq!(available(), NAMES);
    let second = panal(&["run", OBJECT, "--kernel", "linux", "--", "true"]);
    let text = second.problem();
    assert!(
        text.contains("EEXIST") && text.contains("the same name"),
        "{text}"
    );
    assert_eq!(available(), NAMES, "the first stays");
    NAMES.iter().for_each(|name| talk(name));
    drop(child.stdin.take());
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let calls: Vec<(String, u64)> = lines
        .by_ref()
        .map(|line| serde_json::from_str::<serde_json::Value>(&line.expect("text")).expect("JSON"))
        .map(|line| (line["key"].to_string(), line["value"].as_u64().unwrap_or(0)))
        .collect();
    let status = child.wait().expect("ends");
    assert_eq!(status.code(), Some(0));
    let [init, avoid, release] = &calls[..] else {
        panic!("{calls:?}")
    };
    assert_eq!((init.1, release.1), (2, 2), "{calls:?}");
    assert!(avoid.1 > 0, "{calls:?}");
    gone();
}

#[test]
fn nothing_stays_registered_after_a_kill() {
    let _alone = alone();
    let Some(mut child) = started() else { return };
    assert_eq!(available(), NAMES);
    child.kill().expect("ours");
    child.wait().expect("ends");
    gone();
}

#[test]
fn linux_verifies_the_programs() {
    let _alone = alone();
    let run = panal(&["verify", OBJECT, "--kernel", "linux"]);
    if run.code == Some(2) && run.stdout.contains("EPERM") {
        return println!("skipped: {}", run.stdout.trim_end());
    }
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(
        run.stdout.contains("5 accepted, 0 rejected"),
        "{}",
        run.stdout
    );
    assert_eq!(available(), [""; 0], "verified only");
}

#[test]
fn panal_verifies_them_for_this_kernel_as_linux_does() {
    let kernels = ["linux", "panal"].map(|kernel| {
        let run = panal(&[
            "verify",
            OBJECT,
            "--kernel",
            kernel,
            "--profile",
            "host",
            "--json",
        ]);
        let lines = run.json().into_iter();
        let verdicts: Vec<String> = lines.map(|line| line["verdict"].to_string()).collect();
        (verdicts, run.stdout)
    });
    let [(linux, text), (panal, own)] = kernels;
    if text.contains("EPERM") {
        return println!("skipped: {}", text.trim_end());
    }
    assert_eq!(linux.len(), 5, "{text}");
    assert_eq!(panal, linux, "{own}");
}

#[test]
fn panals_kernel_says_that_it_does_not_run_them() {
    let run = panal(&["run", OBJECT, "--", "true"]);
    assert_eq!(run.code, Some(2));
    let text = run.problem();
    assert!(
        text.contains("verifies such programs") && text.contains("--kernel linux"),
        "{text}"
    );
}

#[test]
fn a_syscall_program_runs_on_its_context() {
    let numbers: Vec<u8> = [30u32, 12, 0]
        .iter()
        .flat_map(|n| n.to_ne_bytes())
        .collect();
    let context = scratch("numbers.bin", &numbers);
    let out = scratch("numbers-out.bin", b"");
    let object = "crates/cli/tests/objects/syscall.bpf.o";
    let arguments = [
        "prog",
        "run",
        object,
        "--kernel",
        "linux",
        "--program",
        "add",
        "--json",
    ];
    let run = panal(&[&arguments[..], &["--ctx-in", &context, "--ctx-out", &out]].concat());
    if run.code == Some(2) && run.stderr.contains("EPERM") {
        return println!("skipped: {}", run.stderr.trim_end());
    }
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.json()[0]["retval"], 7);
    let sum = [30u32, 12, 42].iter().flat_map(|n| n.to_ne_bytes());
    assert_eq!(fs::read(&out).expect("written"), sum.collect::<Vec<u8>>());
}
