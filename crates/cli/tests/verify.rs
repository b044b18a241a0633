//! `panal verify`: verdicts, their JSON, exit codes.

mod common;

use common::panal;
use serde_json::json;

/// One program that is fine, two that are not.
const REJECTED: &str = "crates/cli/tests/objects/rejected.bpf.o";

#[test]
fn every_program_gets_one_object_of_json() {
    let run = panal(&["verify", "--json", REJECTED]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let answers = run.json();
    let names: Vec<_> = answers
        .iter()
        .map(|a| a["program"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["fine", "no_check", "forever"]);
    let fine = &answers[0];
    assert_eq!(fine["file"], REJECTED);
    assert_eq!(fine["section"], "xdp");
    assert_eq!(fine["type"], "xdp");
    assert_eq!(fine["verdict"], "accept");
    assert_eq!(fine["instructions"], 35);
    for count in ["processed", "states_total", "states_peak", "time_ns"] {
        assert!(
            fine[count].as_u64().is_some_and(|n| n > 0),
            "{count}: {fine}"
        );
    }
    assert!(fine.get("error").is_none());
}

#[test]
fn a_rejection_says_what_and_where() {
    let run = panal(&["verify", "--json", "--program", "no_check", REJECTED]);
    assert_eq!(run.code, Some(1));
    let answer = &run.json()[0];
    assert_eq!(answer["verdict"], "reject");
    let error = &answer["error"];
    assert_eq!(error["class"], "null_pointer");
    assert_eq!(error["instruction_text"], "w0 = *(u32 *)(r0 + 4)");
    assert_eq!(
        error["linux_message"],
        "R0 invalid mem access 'map_value_or_null'"
    );
    let source = &error["source"];
    assert!(
        source["file"]
            .as_str()
            .is_some_and(|f| f.ends_with("rejected.bpf.c"))
    );
    assert!(
        source["text"]
            .as_str()
            .is_some_and(|t| t.contains("return pair->right;"))
    );
    // The line that the source really has there.
    let path = common::root().join("crates/cli/tests/objects/rejected.bpf.c");
    let text = std::fs::read_to_string(path).expect("the source");
    let line = text
        .lines()
        .position(|l| l.contains("return pair->right;"))
        .expect("the line")
        + 1;
    assert_eq!(source["line"], json!(line));
}

#[test]
fn a_rejection_is_explained_in_text() {
    let run = panal(&["verify", REJECTED]);
    assert_eq!(run.code, Some(1));
    for part in [
        "accept fine (xdp, ",
        "reject no_check (xdp, ",
        "error[null_pointer]: ",
        "return pair->right;",
        "note: Linux says: R0 invalid mem access 'map_value_or_null'",
        "1 accepted, 2 rejected, 0 without a verdict",
    ] {
        assert!(run.stdout.contains(part), "no {part:?} in\n{}", run.stdout);
    }
}

#[test]
fn the_log_is_linux_s_on_demand() {
    let without = panal(&["verify", "--program", "fine", REJECTED]);
    assert!(
        !without.stdout.contains("processed 34 insns"),
        "{}",
        without.stdout
    );
    let with = panal(&["verify", "--log", "2", "--program", "fine", REJECTED]);
    assert!(with.stdout.contains("(bf) r6 = r1"), "{}", with.stdout);
    let lines = with
        .stdout
        .lines()
        .filter(|l| l.trim_start().starts_with("processed "))
        .count();
    assert_eq!(lines, 1, "{}", with.stdout);
}

#[test]
fn accepted_objects_are_exit_code_0_and_the_worst_of_several_counts() {
    let good = "bench/programs/pass.bpf.o";
    assert_eq!(panal(&["verify", good]).code, Some(0));
    assert_eq!(panal(&["verify", good, REJECTED]).code, Some(1));
    assert_eq!(panal(&["verify", REJECTED, "no/such/file.o"]).code, Some(2));
}

#[test]
fn a_program_that_no_object_has_is_an_error() {
    let run = panal(&["verify", "--program", "nope", REJECTED]);
    assert_eq!(
        run.problem(),
        format!("{REJECTED}: no program `nope`; there are fine, no_check, forever")
    );
    let both = panal(&[
        "verify",
        "--program",
        "nope",
        REJECTED,
        "bench/programs/pass.bpf.o",
    ]);
    assert_eq!(both.problem(), "no program `nope` in any of the objects");
    // It is enough when one of them has it.
    let one = panal(&[
        "verify",
        "--program",
        "pass",
        REJECTED,
        "bench/programs/pass.bpf.o",
    ]);
    assert_eq!(one.code, Some(0), "{}", one.stderr);
}

#[test]
fn every_object_of_xdp_tools_gets_a_verdict() {
    let Some(objects) = common::xdp_tools() else {
        println!("skipped: Debian's xdp-tools is not installed");
        return;
    };
    let pass = objects
        .iter()
        .find(|path| path.ends_with("xdp-dispatcher.o"))
        .expect("installed");
    let target = format!("{pass}:xdp_pass");
    let mut arguments = vec!["verify", "--json", "--target", &target];
    arguments.extend(objects.iter().map(String::as_str));
    let run = panal(&arguments);
    for answer in run.json() {
        assert_eq!(answer["verdict"], "accept", "{answer}");
    }
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    // Without a target, an XDP program stands in for it, and that is said.
    arguments.drain(2..4);
    let run = panal(&arguments);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stderr
            .contains("verified as for the entry of an XDP program"),
        "{}",
        run.stderr
    );
}

/// The instructions of a log, by slot: `6: (bf) r6 = r1`, without what follows a `;`.
fn logged(log: &str) -> std::collections::BTreeMap<usize, String> {
    let lines = log.lines().filter_map(|line| {
        let (slot, text) = line.trim().split_once(": (")?;
        let text = text.split(';').next().unwrap_or(text).trim_end();
        Some((slot.parse().ok()?, format!("({text}")))
    });
    // Addresses of maps are each kernel's own.
    lines
        .filter(|(_, text): &(usize, String)| !text.starts_with("(18)"))
        .collect()
}

#[test]
fn linux_s_reason_is_told_without_its_log() {
    let answers = panal(&["verify", "--json", "--kernel", "linux", REJECTED]).json();
    if answers[0]["verdict"] == "error" {
        return println!("skipped: {}", answers[0]["error"]["message"]);
    }
    let rejected = answers
        .iter()
        .find(|answer| answer["program"] == "no_check");
    let said = &rejected.expect("the program")["error"]["message"];
    assert_eq!(said, "R0 invalid mem access 'map_value_or_null'");
}

#[test]
fn instructions_read_as_in_linux_s_own_log() {
    for object in [
        REJECTED,
        "bench/programs/sort.bpf.o",
        "examples/firewall.bpf.o",
    ] {
        let arguments = ["verify", "--json", "--log=2", object];
        let linux = panal(&[&arguments[..], &["--kernel", "linux"]].concat()).json();
        let panal = panal(&arguments).json();
        if linux.iter().any(|answer| answer["verdict"] == "error") {
            println!("skipped: {}", linux[0]["error"]["message"]);
            return;
        }
        for (ours, theirs) in panal.iter().zip(&linux) {
            let log = |answer: &serde_json::Value| logged(answer["log"].as_str().expect("a log"));
            let (ours, theirs) = (log(ours), log(theirs));
            let mut both = 0;
            for (slot, text) in &theirs {
                if let Some(ours) = ours.get(slot) {
                    assert_eq!(ours, text, "{object}, instruction {slot}");
                    both += 1;
                }
            }
            assert!(
                both > 3,
                "{object}: only {both} of {} are in both logs",
                theirs.len()
            );
        }
    }
}

#[test]
fn a_rejection_has_its_range_its_origin_and_a_suggestion_as_fields() {
    let run = panal(&[
        "verify",
        "--json",
        "--explain",
        "--program",
        "no_check",
        REJECTED,
    ]);
    let error = &run.json()[0]["error"];
    assert_eq!(error["value"]["register"], "r0");
    assert_eq!(error["origin"]["instruction"], 6);
    assert_eq!(error["source"]["expression"], "pair->right");
    assert!(
        error["suggestion"]
            .as_str()
            .is_some_and(|s| s.contains("NULL"))
    );
    let steps = error["path"]["steps"].as_array().expect("the path");
    let slots: Vec<_> = steps.iter().map(|s| s["instruction"].as_u64()).collect();
    assert_eq!(slots, [0, 1, 2, 3, 4, 6, 7].map(Some));
    // Without `--explain` there is no path.
    let run = panal(&["verify", "--json", "--program", "no_check", REJECTED]);
    assert!(run.json()[0]["error"].get("path").is_none());
}

#[test]
fn sarif_has_what_the_standard_asks() {
    let run = panal(&["verify", "--sarif", REJECTED, "README.md"]);
    assert_eq!(run.code, Some(2));
    let document = &run.json()[0];
    assert_eq!(document["version"], "2.1.0");
    let run = &document["runs"][0];
    let rules: Vec<_> = run["tool"]["driver"]["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| &rule["id"])
        .collect();
    let results = run["results"].as_array().expect("results");
    assert_eq!(results.len(), 2);
    for result in results {
        assert!(rules.contains(&&result["ruleId"]), "{result}");
        assert!(
            result["message"]["text"]
                .as_str()
                .is_some_and(|t| !t.is_empty())
        );
        let region = &result["locations"][0]["physicalLocation"]["region"];
        for number in ["startLine", "startColumn", "endColumn"] {
            assert!(region[number].as_u64().is_some_and(|n| n > 0), "{region}");
        }
        assert!(region["startColumn"].as_u64() <= region["endColumn"].as_u64());
    }
    let related = &results[0]["relatedLocations"][0]["message"]["text"];
    assert!(
        related
            .as_str()
            .is_some_and(|t| t.contains("bpf_map_lookup_elem()"))
    );
    let invocation = &run["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    let notes = invocation["toolExecutionNotifications"]
        .as_array()
        .expect("notes");
    assert_eq!(notes.len(), 1);
}

/// An object whose programs are tied to kernel functions, compiled from C.
fn tied(section: &str) -> Option<String> {
    let source = format!(
        "#define SEC(n) __attribute__((section(n), used))\n\
         char LICENSE[] SEC(\"license\") = \"GPL\";\n\
         SEC(\"{section}\") int p(unsigned long long *ctx) {{ return 0; }}\n"
    );
    let name = section.replace('/', "_");
    let path = common::scratch(&format!("{name}.c"), source.as_bytes());
    let object = path.replace(".c", ".o");
    let clang = std::process::Command::new("clang-22")
        .args(["-O2", "-g", "-target", "bpf", "-c", &path, "-o", &object])
        .status();
    clang.is_ok_and(|status| status.success()).then_some(object)
}

#[test]
fn a_function_that_the_kernel_does_not_have_is_said_as_libbpf_says_it() {
    if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        return println!("skipped: no kernel types");
    }
    let Some(object) = tied("fentry/nosuchfn") else {
        return println!("skipped: clang-22 is not installed");
    };
    let run = panal(&[
        "verify",
        "--profile",
        "/sys/kernel/btf/vmlinux",
        "--json",
        &object,
    ]);
    assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
    let error = &run.json()[0]["error"];
    let message = error["message"].as_str().expect("a message");
    let libbpf = "failed to find kernel BTF type ID of 'nosuchfn': -3";
    assert!(message.contains(libbpf), "{message}");
    assert_eq!(error["class"], "kernel");
}

#[test]
fn a_target_that_is_not_there_is_a_mistake_even_where_none_is_needed() {
    let good = "bench/programs/pass.bpf.o";
    let run = panal(&["verify", "--target", &format!("{good}:nobody"), good]);
    assert!(
        run.problem().contains("no program `nobody`"),
        "{}",
        run.stderr
    );
    let run = panal(&["verify", "--json", "--profile", "no-such-profile", good]);
    assert!(run.problem().contains("no profile `no-such-profile`"));
}
