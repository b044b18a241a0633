//! Options: those without an effect are refused, and wrong values are told.
#![cfg(target_os = "linux")]

mod common;

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{panal, panal_with, scratch};

/// Arguments, and what the error says. Nothing is loaded before options are looked at.
#[rustfmt::skip]
const REFUSED: &[(&str, &str)] = &[
    // Options that none of the programs has a use for.
    ("run examples/opensnoop.bpf.o --kernel linux --cgroup / -- true",
        "--cgroup has no effect here: it is for programs on cgroups, and enter_openat is \
         `tracepoint/syscalls/sys_enter_openat`"),
    ("run examples/opensnoop.bpf.o --kernel linux --interface lo -- true", "--interface has no effect"),
    ("run examples/opensnoop.bpf.o --kernel linux --netfilter ipv4/input -- true", "--netfilter has no effect"),
    ("run examples/opensnoop.bpf.o --kernel linux --socket 1:2 -- true", "--socket has no effect"),
    ("run examples/opensnoop.bpf.o --kernel linux --socket-map x -- true", "--socket-map has no effect"),
    ("run examples/opensnoop.bpf.o --kernel linux --sample cycles -- true", "--sample has no effect"),
    ("run examples/opensnoop.bpf.o --kernel linux --iterate map=x -- true", "--iterate has no effect"),
    ("run examples/opensnoop.bpf.o --kernel linux --netns x", "--netns has no effect"),
    ("run examples/firewall.bpf.o --kernel linux --interface lo --order first", "--order has no effect"),
    ("run examples/firewall.bpf.o --kernel linux --interface lo --egress", "--egress has no effect"),
    ("run examples/firewall.bpf.o --kernel linux --interface lo --priority 3", "--priority has no effect"),
    ("run examples/firewall.bpf.o --kernel linux --interface lo --pid 1", "--pid has no effect"),
    ("run examples/firewall.bpf.o --kernel linux --interface lo --system-wide -- true", "--system-wide has no effect"),
    ("run examples/firewall.bpf.o --kernel linux --interface lo --route 10.0.0.0/8", "--route has no effect"),
    ("run crates/cli/tests/objects/network.bpf.o --program on_tc --kernel linux --interface lo --xdp-mode generic",
        "--xdp-mode has no effect here: it is for XDP programs, and on_tc is `tc`"),
    ("run crates/cli/tests/objects/network.bpf.o --program on_socket --kernel linux --interface lo --netlink",
        "--netlink has no effect"),
    ("run crates/linux/tests/objects/iterators.bpf.o --program tasks --kernel linux --iterate map=squares",
        "--iterate map=NAME has no effect"),
    ("run crates/linux/tests/objects/iterators.bpf.o --program tasks --kernel linux --duration 1",
        "--duration has no effect"),
    // Options of the other kernel.
    ("run examples/opensnoop.bpf.o --kernel linux --engine jit -- true", "--engine is for Panal's kernel"),
    ("run examples/opensnoop.bpf.o --kernel linux --cage -- true", "--cage is for Panal's kernel"),
    ("prog run examples/firewall.bpf.o --program firewall --kernel linux --engine interp", "--engine is for Panal's"),
    ("run examples/opensnoop.bpf.o --system-wide -- true", "--system-wide is for programs on the running Linux"),
    ("run examples/firewall.bpf.o --pcap x --duration 1", "--duration is for programs on the running Linux"),
    ("run examples/firewall.bpf.o --pcap x --cgroup /", "--cgroup names a place on Linux"),
    ("verify examples/firewall.bpf.o --kernel linux --profile linux-6.12", "--profile is for Panal's verifier"),
    ("prog run examples/firewall.bpf.o --program firewall --instance 5", "--instance chooses"),
    ("prog run id 1 --program x", "--program has no effect on a program that is loaded"),
    ("prog run id 1 --engine jit", "--engine has no effect on a program that is loaded"),
    // Wrong values.
    ("run examples/firewall.bpf.o --kernel linux --interface lo --interface lo", "--interface lo is given twice"),
    ("run examples/firewall.bpf.o --kernel linux --interface lo --netns=", "a value is required for '--netns"),
    ("verify --log=0 examples/firewall.bpf.o", "0 is not in 1..=7"),
    ("verify --log=8 examples/firewall.bpf.o", "8 is not in 1..=7"),
    ("run examples/firewall.bpf.o --pcap x --budget 0insns", "`0insns`: nothing can run on that"),
    ("run examples/firewall.bpf.o --pcap x --budget 1ms,2s", "time is given twice"),
    ("run examples/firewall.bpf.o --pcap x --budget 1insns,2insns", "insns is given twice"),
    ("run examples/firewall.bpf.o --pcap x --budget 1ms,none", "`none` stands alone"),
    ("run examples/firewall.bpf.o --pcap x --budget 5", "the unit is missing: ns, us, ms, s or insns"),
    ("run examples/firewall.bpf.o --pcap x --budget 5min", "the unit is ns, us, ms, s or insns"),
    ("run examples/firewall.bpf.o --pcap x --budget ms", "expected a whole number and a unit"),
    ("run examples/firewall.bpf.o --pcap x --budget 20000000000s", "is too much"),
    ("run examples/firewall.bpf.o --pcap x --map blocklist4", "there is no `=` after the map's name"),
    ("run examples/firewall.bpf.o --pcap x --map =1:2", "the map's name is missing"),
    ("run examples/firewall.bpf.o --pcap x --map blocklist4=1.2.3.4/40:0", "`/40`: 1.2.3.4 has 0 to 32 bits"),
    ("run examples/firewall.bpf.o --pcap x --map blocklist4=1.2.3/8:0", "`1.2.3` is no address"),
    ("run examples/firewall.bpf.o --pcap x --map blocklist4=fd00::/8:0", "the map has IPv4 addresses only"),
    ("run examples/firewall.bpf.o --pcap x --map blocklist6=fd00::/129:0", "`/129`: fd00:: has 0 to 128 bits"),
    ("run examples/firewall.bpf.o --pcap x --feed blocklist4=y", "only a user_ringbuf is fed"),
    ("run examples/opensnoop.bpf.o --feed x -- true", "expected MAP=FILE"),
    // What is no file.
    ("verify /dev/zero", "/dev/zero: cannot read: it is a device, not a file"),
    ("verify examples", "examples: cannot read: Is a directory"),
    ("run /dev/null -- true", "it is a device, not a file"),
    ("prog run examples/firewall.bpf.o --program firewall --data-in /dev/zero", "it is a device, not a file"),
    ("prog run examples/firewall.bpf.o --program firewall --data-in - --ctx-in -", "cannot both be standard input"),
    ("prog run examples/firewall.bpf.o --program firewall --data-out - --ctx-out -", "cannot both be standard output"),
    ("prog run examples/firewall.bpf.o --program firewall --data-out - --json", "standard output has the data already"),
];

#[test]
fn what_has_no_effect_or_no_sense_is_refused() {
    for (arguments, says) in REFUSED {
        let run = panal(&arguments.split(' ').collect::<Vec<_>>());
        assert_eq!(
            run.code,
            Some(2),
            "{arguments}: {}{}",
            run.stdout,
            run.stderr
        );
        if arguments.ends_with("--json") {
            assert!(run.problem().contains(says), "{arguments}: {}", run.stdout);
            continue;
        }
        let first = run.stderr.lines().next().unwrap_or_default();
        assert!(
            first.contains(says),
            "{arguments}: {says:?} in {}",
            run.stderr
        );
        assert!(run.stdout.is_empty(), "{arguments}: {}", run.stdout);
    }
}

#[test]
fn a_pipe_without_a_writer_is_not_waited_for() {
    let path = format!("{}/nobody-writes.fifo", env!("CARGO_TARGET_TMPDIR"));
    let _ = std::fs::remove_file(&path);
    let made = Command::new("mkfifo").arg(&path).status();
    if !made.is_ok_and(|status| status.success()) {
        return println!("skipped: no mkfifo");
    }
    let started = Instant::now();
    for arguments in [
        &["verify", &path][..],
        &["dump", &path, "asm"],
        &["run", &path, "--", "true"],
        &["profile", "show", &path],
        &["verify", "--profile", &path, "examples/firewall.bpf.o"],
    ] {
        let run = panal(arguments);
        let expected = format!("{path}: cannot read: it is a pipe, not a file");
        assert_eq!(run.problem(), expected);
    }
    // Output waits for no reader either.
    let run = panal(&[
        "run",
        "examples/opensnoop.bpf.o",
        "--output",
        &path,
        "--",
        "true",
    ]);
    let expected = format!("{path}: cannot write: it is a pipe that nobody reads");
    assert_eq!(run.problem(), expected);
    // A capture is a file's, as what is read is.
    let run = panal(&["profile", "capture", &path]);
    let expected = format!("{path}: cannot write: it is a pipe, not a file");
    assert_eq!(run.problem(), expected);
    assert!(started.elapsed() < Duration::from_secs(20));
    // What a shell hands over for <(command) has its writer.
    let script = format!(
        "{} prog run examples/firewall.bpf.o --program firewall --data-in <(head -c 64 /dev/zero)",
        env!("CARGO_BIN_EXE_panal")
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script])
        .current_dir(common::root())
        .stdout(Stdio::null());
    let mut bash = bash.spawn();
    match &mut bash {
        Err(error) => println!("skipped: bash: {error}"),
        Ok(bash) => assert!(bash.wait().expect("ends").success()),
    }
}

#[test]
fn a_dash_is_standard_input_and_standard_output() {
    let words = [
        "prog",
        "run",
        "examples/firewall.bpf.o",
        "--program",
        "firewall",
    ];
    let packet: Vec<u8> = (0..64).collect();
    let piped = [&words[..], &["--data-in", "-", "--data-out", "-"]].concat();
    let run = panal_with(&piped, &[], &packet);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stdout.as_bytes(), packet);
    assert!(run.stderr.starts_with("return value "), "{}", run.stderr);
    let file = scratch("dash.bin", &packet);
    let named = panal(&[&words[..], &["--data-in", &file, "--json"]].concat());
    let piped = panal_with(
        &[&words[..], &["--data-in", "-", "--json"]].concat(),
        &[],
        &packet,
    );
    for key in ["retval", "data_out", "steps"] {
        assert_eq!(named.json()[0][key], piped.json()[0][key]);
    }
}

#[test]
fn the_words_of_a_command_stand_in_its_help() {
    for (command, usage) in [
        (
            "map update",
            "map update MAP key KEY value VALUE [any|exist|noexist] [OPTIONS]",
        ),
        ("map dump", "map dump MAP [OPTIONS]"),
        (
            "prog dump",
            "prog dump xlated|jited PROG [file FILE] [opcodes] [linum] [OPTIONS]",
        ),
        ("link detach", "link detach LINK [OPTIONS]"),
    ] {
        let words: Vec<&str> = command.split(' ').chain(["-h"]).collect();
        let run = panal(&words);
        assert!(
            run.stdout.contains(&format!("Usage: panal {usage}\n")),
            "{}",
            run.stdout
        );
        assert!(run.stdout.contains("Examples:\n"), "{}", run.stdout);
        assert!(run.stdout.contains(" is one of: id N, "), "{}", run.stdout);
    }
}
