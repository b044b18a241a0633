//! `panal prog run`: results, files, maps and variables from the command line.

mod common;

use common::{Run, panal, scratch};

const OBJECT: &str = "crates/cli/tests/objects/rejected.bpf.o";

/// `fine`, which returns `wanted` or what it finds in its maps.
fn fine(extra: &[&str]) -> Run {
    let packet = scratch("packet.bin", &[0; 64]);
    let mut arguments = vec![
        "prog",
        "run",
        OBJECT,
        "--program",
        "fine",
        "--json",
        "--data-in",
        &packet,
    ];
    arguments.extend(extra);
    panal(&arguments)
}

fn retval(run: &Run) -> u64 {
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.json()[0]["retval"].as_u64().expect("a number")
}

#[test]
fn the_result_has_value_time_and_data() {
    let run = fine(&["--repeat", "10"]);
    assert_eq!(retval(&run), 1);
    let json = &run.json()[0];
    assert_eq!(json["repeat"], 10);
    assert!(json["duration_ns"].as_u64().is_some());
    assert_eq!(json["data_out"], "00".repeat(64));
    assert!(json.get("stopped").is_none());
}

#[test]
fn data_goes_out_to_a_file() {
    let out = scratch("data-out.bin", b"");
    assert_eq!(fine(&["--data-out", &out]).code, Some(0));
    assert_eq!(std::fs::read(&out).expect("written"), [0; 64]);
    let nowhere = fine(&["--data-out", "/no/such/file"]);
    assert_eq!(
        nowhere.problem(),
        "/no/such/file: cannot write: No such file or directory"
    );
}

#[test]
fn variables_are_set_before_the_program_is_verified() {
    assert_eq!(retval(&fine(&["--var", "wanted=4"])), 4);
    let unknown = fine(&["--var", "unwanted=4"]);
    assert_eq!(
        unknown.problem(),
        "--var unwanted=4: the object has no such global variable; there is only `wanted`"
    );
    let wrong = fine(&["--var", "wanted=many"]);
    assert!(
        wrong.problem().contains("its type is const volatile __u32"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn maps_are_set_by_their_types() {
    // left + right + counter.
    for (entry, expected) in [
        ("pairs=7:{left=2,right=40}", 42),
        ("pairs=0x7:{right: 5}", 5),
        ("pairs=7:[3, 4]", 7),
        ("pairs=hex:07000000:hex:0100000002000000", 3),
    ] {
        assert_eq!(retval(&fine(&["--map", entry])), expected, "{entry}");
    }
    // A per-CPU value is set on every CPU.
    let both = fine(&["--map", "pairs=7:{left=1}", "--map", "counters=1:100"]);
    assert_eq!(retval(&both), 101);
    // A program by its name: the tail call starts over until the limit, then falls through.
    let jump = fine(&["--map", "pairs=7:{left=1}", "--map", "jumps=0:fine"]);
    assert_eq!(retval(&jump), 1);
}

#[test]
fn wrong_map_arguments_say_what_is_wrong_with_them() {
    for (entry, expected) in [
        (
            "pear=7:1",
            "the object has no map `pear`; there are .rodata, pairs, counters, jumps",
        ),
        ("pairs=x:1", "key `x`: value: "),
        (
            "pairs=7:{middle=1}",
            "value `{middle=1}`: value: no member `middle`",
        ),
        ("pairs=7:{left=1", "value `{left=1`: at character "),
        (
            "pairs=hex:07:{left=1}",
            "key `hex:07`: 1 bytes given, 4 needed",
        ),
        (
            "pairs=hex:0g000000:1",
            "key `hex:0g000000`: hex: takes pairs of hexadecimal digits",
        ),
        ("counters=9:1", "BPF_MAP_UPDATE_ELEM: E2BIG"),
        (
            "jumps=0:nope",
            "value `nope`: no program of this name is loaded; there is only `fine`",
        ),
    ] {
        let run = fine(&["--map", entry]);
        let problem = run.problem();
        let rest = problem
            .strip_prefix(&format!("--map {entry}: "))
            .unwrap_or_else(|| panic!("{problem}"));
        assert!(rest.starts_with(expected), "{entry}: {rest}");
    }
    for malformed in ["pairs", "pairs=7", "=7:1"] {
        let run = fine(&["--map", malformed]);
        assert_eq!(run.code, Some(2));
        assert!(
            run.stderr.contains("expected NAME=KEY:VALUE"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn addresses_have_colons_of_their_own() {
    let Some(objects) = common::xdp_tools() else {
        println!("skipped: Debian's xdp-tools is not installed");
        return;
    };
    let filter = objects
        .iter()
        .find(|path| path.ends_with("xdpfilt_dny_all.o"))
        .expect("installed");
    let packet = scratch("addressed.bin", &[0; 64]);
    for entry in [
        "filter_ipv4=10.1.2.3:3",
        "filter_ipv6=2001:db8::1:3",
        "filter_ipv6=[2001:db8::1]:3",
        "filter_ethernet=02:00:00:00:00:01:3",
    ] {
        let arguments = [
            "prog",
            "run",
            filter,
            "--program",
            "xdpfilt_dny_all",
            "--data-in",
            &packet,
            "--map",
            entry,
        ];
        let run = panal(&arguments);
        assert_eq!(run.code, Some(0), "{entry}: {}", run.stderr);
    }
}

#[test]
fn a_rejected_program_is_exit_code_1_with_its_explanation() {
    let run = panal(&["prog", "run", OBJECT, "--program", "no_check"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(
        run.stderr.contains("error[null_pointer]: "),
        "{}",
        run.stderr
    );
    let run = panal(&["prog", "run", OBJECT, "--program", "no_check", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    assert_eq!(run.json()[0]["error"]["class"], "null_pointer");
}

#[test]
fn the_only_program_of_an_object_needs_no_name() {
    let packet = scratch("only.bin", &[0; 64]);
    let object = "bench/programs/empty_xdp.bpf.o";
    let run = panal(&["prog", "run", object, "--data-in", &packet, "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.json()[0]["program"].is_string());
    let several = panal(&["prog", "run", OBJECT, "--data-in", &packet]);
    let problem = several.problem();
    assert!(
        problem.contains("choose it by --program NAME: ") && problem.contains("fine"),
        "{problem}"
    );
}

#[test]
fn what_is_missing_is_named() {
    let unknown = panal(&["prog", "run", OBJECT, "--program", "nope"]);
    assert!(
        unknown
            .problem()
            .starts_with(&format!("{OBJECT}: no program `nope`"))
    );
    let missing = fine(&["--data-in", "no/such/packet"]);
    assert_eq!(missing.code, Some(2), "given twice");
    let missing = panal(&[
        "prog",
        "run",
        OBJECT,
        "--program",
        "fine",
        "--data-in",
        "no/such/packet",
    ]);
    assert_eq!(
        missing.problem(),
        "no/such/packet: cannot read: No such file or directory"
    );
}
