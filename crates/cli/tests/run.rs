//! `panal run`: captures and commands.

mod common;

use common::{Run, panal, scratch};

const FIREWALL: &str = "examples/firewall.bpf.o";
const OPENSNOOP: &str = "examples/opensnoop.bpf.o";
const LATENCY: &str = "examples/syscall_latency.bpf.o";

/// A TCP packet to port 80 of 192.0.2.1.
fn frame(source: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let mut ip = vec![0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0];
    ip.extend(source);
    ip.extend([192, 0, 2, 1]);
    let sum: u32 = ip
        .chunks(2)
        .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ip[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    frame.extend(ip);
    frame.extend([
        4, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0,
    ]);
    frame
}

fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4u32, 4 << 16 | 2, 0, 0, 65535, 1] {
        out.extend(word.to_le_bytes());
    }
    for (second, frame) in frames.iter().enumerate() {
        for word in [second as u32, 0, frame.len() as u32, frame.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(frame);
    }
    out
}

/// Three packets from a blocked network, two from elsewhere.
fn capture(name: &str) -> String {
    let blocked = (1..=3).map(|i| frame([203, 0, 113, i]));
    let others = (1..=2).map(|i| frame([198, 51, 100, i]));
    scratch(name, &pcap(&blocked.chain(others).collect::<Vec<_>>()))
}

#[test]
fn a_firewall_drops_what_its_map_says() {
    let input = capture("in.pcap");
    let out = scratch("out.pcap", b"");
    let block = "blocklist4=203.0.113.0/24:0";
    let run = panal(&[
        "run", FIREWALL, "--pcap", &input, "--out", &out, "--map", block, "--json",
    ]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let summary = run.json().pop().expect("a summary");
    assert_eq!(summary["packets"], 5);
    assert_eq!(summary["verdicts"]["XDP_DROP"], 3);
    assert_eq!(summary["verdicts"]["XDP_PASS"], 2);
    let written = std::fs::read(&out).expect("written");
    let whole = std::fs::read(&input).expect("the capture");
    let record = 16 + frame([0; 4]).len();
    assert_eq!(written.len(), 24 + 2 * record);
    // Packets that nobody changed are as they were.
    assert_eq!(
        written[24 + 16..24 + record],
        whole[24 + 3 * record + 16..24 + 4 * record]
    );
}

#[test]
fn a_load_balancer_rewrites_addresses_in_network_order() {
    let input = capture("balanced.pcap");
    let out = scratch("balanced-out.pcap", b"");
    let run = panal(&[
        "run",
        FIREWALL,
        "--pcap",
        &input,
        "--out",
        &out,
        "--map",
        "services={addr=192.0.2.1,port=80,proto=6}:{first=0,count=1}",
        "--map",
        "backends=0:{addr=10.0.0.9,port=8080}",
    ]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("changed: 5"), "{}", run.stdout);
    let written = std::fs::read(&out).expect("written");
    let first = &written[24 + 16..];
    assert_eq!(first[30..34], [10, 0, 0, 9], "destination address");
    assert_eq!(first[36..38], 8080u16.to_be_bytes(), "destination port");
}

#[test]
fn captures_that_cannot_be_run_are_refused() {
    let input = capture("refused.pcap");
    let same = panal(&["run", FIREWALL, "--pcap", &input, "--out", &input]);
    assert_eq!(
        same.problem(),
        format!("{input}: --pcap and --out are the same file")
    );
    let missing = panal(&["run", FIREWALL, "--pcap", "no/such.pcap"]);
    assert_eq!(
        missing.problem(),
        "no/such.pcap: cannot read: No such file or directory"
    );
    let text = panal(&["run", FIREWALL, "--pcap", "README.md"]);
    assert!(
        text.problem()
            .starts_with("README.md: not a packet capture"),
        "{}",
        text.stderr
    );
    let tracing = panal(&["run", OPENSNOOP, "--pcap", &input]);
    assert!(
        tracing.problem().contains("no program takes packets"),
        "{}",
        tracing.stderr
    );
    let both = panal(&["run", FIREWALL, "--pcap", &input, "--", "true"]);
    assert_eq!(both.code, Some(2));
    assert_eq!(panal(&["run", FIREWALL]).code, Some(2), "neither");
    let command = panal(&["run", FIREWALL, "--", "true"]);
    assert!(
        command.problem().contains("--pcap"),
        "says what to do: {}",
        command.stderr
    );
}

#[test]
fn a_capture_cut_short_is_named_after_what_came_before() {
    let whole = std::fs::read(capture("whole.pcap")).expect("the capture");
    let cut = scratch("cut.pcap", &whole[..whole.len() - 7]);
    let run = panal(&["run", FIREWALL, "--pcap", &cut, "--json"]);
    assert!(
        run.problem().contains("cut short within packet 5"),
        "{}",
        run.stderr
    );
    assert_eq!(run.json()[0]["packets"], 4);
}

/// Runs a command; `None` where commands cannot be supervised.
fn supervised(arguments: &[&str]) -> Option<Run> {
    let run = panal(arguments);
    if run.stderr.contains("cannot supervise") {
        println!("skipped: {}", run.stderr.trim_end());
        return None;
    }
    Some(run)
}

#[test]
fn opens_of_a_command_become_rows_of_a_table() {
    let Some(run) = supervised(&["run", OPENSNOOP, "--", "cat", "/etc/hostname"]) else {
        return;
    };
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let heading = run
        .stdout
        .lines()
        .find(|l| l.starts_with("TIME_NS"))
        .expect("a heading");
    let columns: Vec<&str> = heading.split_whitespace().collect();
    assert_eq!(
        columns,
        [
            "TIME_NS", "PID", "TID", "UID", "RET", "FLAGS", "COMM", "PATH"
        ]
    );
    let row = run
        .stdout
        .lines()
        .find(|l| l.ends_with(" /etc/hostname"))
        .expect("its row");
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!((cells[6], cells[7]), ("cat", "/etc/hostname"));
    assert!(cells[4].parse::<i32>().is_ok_and(|fd| fd >= 3), "{row}");
}

#[test]
fn events_are_json_lines_in_a_file_of_their_own() {
    let path = scratch("events.json", b"");
    let arguments = [
        "run",
        OPENSNOOP,
        "--json",
        "--output",
        &path,
        "--",
        "cat",
        "/no/such/file",
    ];
    let Some(run) = supervised(&arguments) else {
        return;
    };
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (Some(1), ""),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("note: cat exited with code 1"),
        "{}",
        run.stderr
    );
    let text = std::fs::read_to_string(&path).expect("written");
    let events: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let event = events
        .iter()
        .find(|e| e["event"]["path"] == "/no/such/file")
        .expect("its event");
    assert_eq!(event["map"], "events");
    assert_eq!(event["event"]["comm"], "cat");
    assert_eq!(event["event"]["ret"], -2, "ENOENT");
}

#[test]
fn variables_change_what_is_seen() {
    let arguments = [
        "run",
        OPENSNOOP,
        "--json",
        "--var",
        "only_failed=true",
        "--",
        "cat",
        "/etc/hostname",
    ];
    let Some(run) = supervised(&arguments) else {
        return;
    };
    assert!(
        !run.stdout.contains("\"path\":\"/etc/hostname\""),
        "{}",
        run.stdout
    );
}

#[test]
fn histograms_are_printed_at_the_end() {
    let Some(run) = supervised(&["run", LATENCY, "--", "cat", "/etc/hostname"]) else {
        return;
    };
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let heading = run
        .stdout
        .lines()
        .position(|l| l == "latencies")
        .expect("the map's name");
    let rest: Vec<&str> = run.stdout.lines().skip(heading + 1).collect();
    assert!(
        rest.iter().any(|l| l.contains(" -> ") && l.contains("|*")),
        "{}",
        run.stdout
    );
    let json = [
        "run",
        LATENCY,
        "--json",
        "--output",
        &scratch("hist.json", b""),
        "--",
        "true",
    ]
    .map(str::to_owned);
    let arguments: Vec<&str> = json.iter().map(String::as_str).collect();
    panal(&arguments);
    let text = std::fs::read_to_string(arguments[4]).expect("written");
    let first: serde_json::Value =
        serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["map"], "latencies");
    assert!(first["value"]["slots"].is_array());
}

#[test]
fn a_command_that_cannot_be_run_is_exit_code_2_and_one_that_fails_has_its_own() {
    let Some(missing) = supervised(&["run", OPENSNOOP, "--", "no-such-command-here"]) else {
        return;
    };
    assert_eq!(missing.problem(), "no-such-command-here: command not found");
    let killed = panal(&["run", OPENSNOOP, "--json", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.code, Some(128 + 9));
    assert_eq!(
        killed.stderr,
        "error: sh was killed by signal 9 (SIGKILL)\n"
    );
    assert_eq!(
        killed.json().last(),
        Some(&serde_json::json!({"command": {"name": "sh", "signal": 9}}))
    );
    let failed = panal(&["run", OPENSNOOP, "--json", "--", "sh", "-c", "exit 42"]);
    assert_eq!(failed.code, Some(42));
    assert_eq!(
        failed.json().last(),
        Some(&serde_json::json!({"command": {"name": "sh", "exit_code": 42}}))
    );
    // What was seen until then was printed.
    assert!(
        killed.stdout.contains("\"comm\":\"sh\""),
        "{}",
        killed.stdout
    );
}

#[test]
fn a_guard_denies_what_its_maps_do_not_allow() {
    let guard = "examples/guard.bpf.o";
    let target = scratch("guarded", b"");
    let script = format!("echo changed > {target}");
    // What the tests may write may lie below /tmp, which the guard allows by itself.
    let strict = ["run", guard, "--json", "--var", "allow_tmp=false"];
    let command = ["--", "sh", "-c", &script];
    let Some(denied) = supervised(&[&strict[..], &command].concat()) else {
        return;
    };
    assert_eq!(denied.code, Some(2), "the shell's own: {}", denied.stderr);
    assert_eq!(
        std::fs::read(&target).expect("there"),
        b"",
        "nothing was written"
    );
    let event = denied
        .json()
        .into_iter()
        .find(|e| e["map"] == "events")
        .expect("an event");
    assert_eq!(event["event"]["path"], target.as_str());
    let folder = std::path::Path::new(&target)
        .parent()
        .and_then(|p| p.to_str())
        .expect("UTF-8");
    let rule = format!("writable={folder}:1");
    let allowed = panal(&[&strict[..], &["--map", &rule], &command].concat());
    assert_eq!((allowed.code, allowed.stderr.as_str()), (Some(0), ""));
    assert_eq!(std::fs::read(&target).expect("there"), b"changed\n");
}

const EVENTS: &str = "crates/cli/tests/objects/events.bpf.o";

#[test]
fn records_are_printed_by_their_types() {
    let input = scratch("one.pcap", &pcap(&[frame([10, 0, 0, 1])]));
    let run = panal(&["run", EVENTS, "--pcap", &input]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let rows: Vec<Vec<&str>> = run
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    // The type that the map declares; the one called as the map; none.
    for expected in [
        &["MAC", "PROTO", "WAY", "NUMBER"][..],
        &["02:00:00:00:00:fe", "2048", "WAY_OUT", "-5"],
        &["V4", "PORT", "NAME", "V6"],
        &["10.0.0.1", "8080", "\u{fffd}[2Jname", "2001:db8::1"],
        &["bytes:", "09000000"],
    ] {
        assert!(
            rows.iter().any(|row| row == expected),
            "no {expected:?} in\n{}",
            run.stdout
        );
    }
    assert!(
        run.stdout.contains("bpf_trace_printk: key 9"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout
            .contains("\ncounts\n9: {packets: 1, octets: 60}\n"),
        "{}",
        run.stdout
    );
    assert!(
        !run.stdout.contains("silent"),
        "only what is tagged is printed"
    );
    assert!(!run.stdout.contains('\x1b'), "no record moves the cursor");
}

#[test]
fn records_are_json_lines_by_their_types() {
    let input = scratch("one-json.pcap", &pcap(&[frame([10, 0, 0, 1])]));
    let lines = panal(&["run", EVENTS, "--pcap", &input, "--json"]).json();
    let of = |map: &str| {
        lines
            .iter()
            .find(|line| line["map"] == map)
            .expect("its line")
    };
    assert_eq!(of("samples")["event"]["proto"], 2048);
    assert_eq!(of("samples")["event"]["way"], "WAY_OUT");
    assert_eq!(of("addresses")["event"]["port"], 8080);
    assert_eq!(of("addresses")["event"]["name"], "\u{1b}[2Jname");
    assert_eq!(of("bytes")["bytes"], "09000000");
    assert_eq!(of("counts")["value"]["octets"], 60);
    assert!(lines.iter().any(|line| line["trace"] == "key 9"));
}
