//! `--feed`: records that user space writes into a user ring buffer.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use libtest_mimic::Trial;
use serde_json::json;

use crate::{
    common::{Run, panal, root, scratch},
    probes::OBJECT,
};

pub fn tests() -> Vec<Trial> {
    let trial = |name: &'static str, body: fn()| {
        Trial::test(format!("feed::{name}"), move || {
            body();
            Ok(())
        })
    };
    vec![
        trial("lines_of_a_file_are_records", lines),
        trial(
            "more_than_the_buffer_holds_is_written_as_there_is_room",
            many,
        ),
        trial("what_was_not_taken_is_told", not_taken),
        trial("standard_input_is_read_as_it_comes", standard_input),
        trial("what_is_no_record_is_told", no_records),
        trial("a_wake_up_opens_no_files", no_files),
    ]
}

/// The program takes what is there whenever the command asks for its own priority.
fn run(feed: &str, command: &[&str]) -> Option<Run> {
    run_on("linux", feed, command)
}

fn run_on(kernel: &str, feed: &str, command: &[&str]) -> Option<Run> {
    let words = [
        "run",
        OBJECT,
        "--kernel",
        kernel,
        "--json",
        "--program",
        "on_orders",
        "--feed",
        feed,
        "--",
    ];
    let run = panal(&[&words[..], command].concat());
    let lacks = ["EPERM", "EOPNOTSUPP", "a cgroup for the command"];
    if run.code == Some(2) && lacks.iter().any(|lack| run.stderr.contains(lack)) {
        println!("skipped: {}", run.stderr.trim_end());
        return None;
    }
    Some(run)
}

fn lines() {
    let file = scratch(
        "orders.txt",
        b"{number: 7, port: 80, name: \"web\"}\n\n  {number: 8}  \nhex:09000000350061620000000000000000\n",
    );
    for kernel in ["panal", "linux"] {
        let feed = format!("orders={file}");
        let Some(run) = run_on(kernel, &feed, &["sh", "-c", "nice >/dev/null"]) else {
            continue;
        };
        assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{kernel}");
        let lines = run.json().into_iter();
        let seen: Vec<_> = lines.map(|mut line| line["event"].take()).collect();
        let event = |number, port, name| json!({"number": number, "port": port, "name": name});
        let expected = [event(7, 80, "web"), event(8, 0, ""), event(9, 53, "ab")];
        assert_eq!(seen, expected, "{kernel}");
    }
}

/// 4096 bytes hold 170 records of 16 bytes with their headers.
fn many() {
    let text: String = (0..1000)
        .map(|number| format!("{{number: {number}}}\n"))
        .collect();
    let file = scratch("many-orders.txt", text.as_bytes());
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do nice >/dev/null; sleep 0.1; done";
    let Some(run) = run(&format!("orders={file}"), &["sh", "-c", script]) else {
        return;
    };
    assert_eq!((run.code, &*run.stderr), (Some(0), ""));
    let numbers: Vec<u64> = run
        .json()
        .iter()
        .filter_map(|line| line["event"]["number"].as_u64())
        .collect();
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
}

fn not_taken() {
    let text = "{number: 1}\n".repeat(500);
    let file = scratch("too-many-orders.txt", text.as_bytes());
    let Some(run) = run(&format!("orders={file}"), &["true"]) else {
        return;
    };
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let says = "the lines from 171 on were not written: the map was full";
    assert!(run.stderr.contains(says), "{}", run.stderr);
}

/// A line that is written while the run goes on.
fn standard_input() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_panal"))
        .current_dir(root())
        .args([
            "run",
            OBJECT,
            "--kernel",
            "linux",
            "--json",
            "--program",
            "on_orders",
        ])
        .args(["--feed", "orders=-", "--system-wide", "--duration", "20"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut line = String::new();
    let mut errors = BufReader::new(child.stderr.take().expect("piped"));
    errors.read_line(&mut line).expect("readable");
    if line.starts_with("error") {
        let _ = child.wait();
        return println!("skipped: {}", line.trim_end());
    }
    let mut input = child.stdin.take().expect("piped");
    let mut output = BufReader::new(child.stdout.take().expect("piped")).lines();
    for number in [5, 6] {
        writeln!(input, "{{number: {number}}}").expect("written");
        // Asked until the line has got there.
        let event = std::thread::scope(|scope| {
            let next = scope.spawn(|| output.next());
            while !next.is_finished() {
                Command::new("nice").output().expect("nice");
            }
            next.join()
                .expect("no panic")
                .expect("a line")
                .expect("text")
        });
        let event: serde_json::Value = serde_json::from_str(&event).expect("JSON");
        assert_eq!(event["event"]["number"], number);
    }
    drop(input);
    // SAFETY: the process is our child and was not waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    assert!(child.wait().expect("ends").success());
}

fn no_records() {
    let file = scratch("no-orders.txt", b"{number: x}\n{number: 1}\nhex:0\n");
    let Some(run) = run(&format!("orders={file}"), &["sh", "-c", "nice >/dev/null"]) else {
        return;
    };
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let errors: Vec<&str> = run.stderr.lines().collect();
    assert!(errors[0].contains("line 1: "), "{errors:?}");
    assert!(errors[1].contains("line 3: hex:"), "{errors:?}");
    assert_eq!(run.json()[0]["event"]["number"], 1);
    for (feed, says) in [
        (
            "taken=/dev/null",
            "the map is a ringbuf, and only a user_ringbuf is fed",
        ),
        (
            "none=/dev/null",
            "no such user_ringbuf; there is only `orders`",
        ),
        (
            "orders=/no/such/file",
            "/no/such/file: cannot read: No such file",
        ),
    ] {
        let words = [
            "run",
            OBJECT,
            "--kernel",
            "linux",
            "--program",
            "on_orders",
            "--feed",
        ];
        let run = panal(&[&words[..], &[feed, "--", "true"]].concat());
        assert!(run.problem().contains(says), "{}", run.stderr);
    }
}

/// What a map is, is asked once, not at each of a buffer's wake-ups.
fn no_files() {
    let trace = scratch("wake-ups.strace", b"");
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do : </etc/hostname; sleep 0.02; done";
    let run = Command::new("strace")
        .args([
            "-e",
            "trace=open,openat,poll",
            "-o",
            &trace,
            env!("CARGO_BIN_EXE_panal"),
        ])
        .args([
            "run",
            "examples/opensnoop.bpf.o",
            "--kernel",
            "linux",
            "--json",
            "--",
        ])
        .args(["sh", "-c", script])
        .current_dir(root())
        .output();
    let output = match run {
        Ok(output) if output.status.success() => output,
        Ok(output) => {
            return println!(
                "skipped: {}",
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        Err(error) => return println!("skipped: strace: {error}"),
    };
    let records = String::from_utf8_lossy(&output.stdout).lines().count();
    assert!(records >= 10, "{records}");
    let calls = std::fs::read_to_string(&trace).expect("written");
    let count = |name: &str| calls.lines().filter(|line| line.contains(name)).count();
    assert!(count("poll(") >= 10, "{calls}");
    assert_eq!(count("fdinfo"), 0, "{calls}");
}
