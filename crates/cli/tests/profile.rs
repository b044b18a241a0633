//! `panal feature` and `panal profile`: the commands themselves, as text and as JSON, and files that
//! are no profiles.
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs::{self, File},
    time::{Duration, Instant},
};

use common::{Run, panal, scratch};
use serde_json::Value;

const FIREWALL: &str = "examples/firewall.bpf.o";

fn path(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"))
}

/// Whether this machine lets programs be loaded; if not, why is told.
fn may_load() -> bool {
    let run = panal(&["feature", "--json"]);
    let loads = run.json()[0]["program_types"]["have_socket_filter_prog_type"] == true;
    if !loads {
        println!("skipped: bpf(2) does not let this process load programs");
    }
    loads
}

/// A capture of the running kernel; `None`, and said, where there is none.
fn captured(name: &str, options: &[&str]) -> Option<String> {
    let file = path(name);
    let run = panal(&[&["profile", "capture"], options, &[file.as_str()][..]].concat());
    if run.code == Some(2) && run.stderr.contains("/sys/kernel/btf/vmlinux") {
        println!("skipped: {}", run.stderr.trim_end());
        return None;
    }
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    let begin = format!("note: {file}: ");
    assert!(run.stderr.starts_with(&begin), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    Some(file)
}

#[test]
fn a_kernel_tells_what_it_has_as_text_and_as_json() {
    for kernel in ["linux", "panal"] {
        let text = panal(&["feature", "--kernel", kernel]);
        let run = panal(&["feature", "--kernel", kernel, "--json"]);
        assert_eq!((text.code, run.code), (Some(0), Some(0)), "{kernel}");
        let json = &run.json()[0];
        assert_eq!(run.json().len(), 1, "one document");
        let first = text.stdout.lines().next().unwrap_or_default();
        let name = json["kernel"].as_str().expect("a name");
        assert!(
            first.starts_with(&format!("{name}, asked with ")),
            "{first}"
        );
        // Both forms give the same answers.
        let types = json["program_types"].as_object().expect("an object");
        assert!(types.len() > 30, "{types:?}");
        for (key, answer) in types {
            let name = key
                .strip_prefix("have_")
                .and_then(|k| k.strip_suffix("_prog_type"));
            let name = name.expect("bpftool's key");
            let words = match answer.as_bool() {
                Some(true) => " is available\n",
                Some(false) => " is NOT available\n",
                None => ": could not tell: ",
            };
            let line = format!("program type {name}{words}");
            assert!(text.stdout.contains(&line), "{kernel}: {line}");
        }
        for heading in [
            "\nProgram types\n",
            "\nMap types\n",
            "\nHelpers\n",
            "\nKernel functions\n",
        ] {
            assert!(text.stdout.contains(heading), "{kernel}: {heading:?}");
        }
    }
    let panal_has = panal(&["feature", "--kernel", "panal", "--json"])
        .json()
        .remove(0);
    let helpers = panal_has["helpers"]["xdp_available_helpers"]
        .as_array()
        .expect("a list");
    assert!(helpers.contains(&"bpf_map_lookup_elem".into()));
}

#[test]
fn without_rights_what_cannot_be_told_is_told_so() {
    let copy = path("panal-without-rights");
    common::copy_command(copy.as_ref());
    let run = common::without_rights(&copy)
        .args(["feature", "--json"])
        .output();
    let output = match run {
        Ok(output) if output.status.code() == Some(0) => output,
        _ => return println!("skipped: setpriv (util-linux) cannot drop rights here"),
    };
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["capabilities"], "no capability");
    let setting = fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled");
    if setting.is_ok_and(|value| value.trim() != "0") {
        assert_eq!(json["program_types"]["have_xdp_prog_type"], Value::Null);
        let reasons = json["reasons"].to_string();
        assert!(reasons.contains("EPERM"), "{reasons}");
    }
}

#[test]
fn a_capture_is_shown_as_the_kernel_is_and_verified_for() {
    if !may_load() {
        return;
    }
    let started = Instant::now();
    let Some(file) = captured("captured.profile", &[]) else {
        return;
    };
    // On a machine that others use, too.
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
    let size = fs::metadata(&file).expect("written").len();
    assert!((100_000..8_000_000).contains(&size), "{size} bytes");
    let shown = panal(&["profile", "show", "--json", &file]);
    let live = panal(&["feature", "--json"]);
    let (shown, live) = (&shown.json()[0], &live.json()[0]);
    for key in [
        "kernel",
        "version",
        "program_types",
        "map_types",
        "helpers",
        "instructions",
        "links",
    ] {
        assert_eq!(shown[key], live[key], "{key}");
    }
    assert_eq!(shown["profile"]["file_size"], size);
    let text = panal(&["profile", "show", &file]);
    assert!(
        text.stdout.starts_with(&format!("{file}: ")),
        "{}",
        text.stdout
    );
    assert!(text.stdout.contains("program type xdp is available\n"));
    let verified = panal(&["verify", "--profile", &file, FIREWALL]);
    assert_eq!(
        verified.code,
        Some(0),
        "{}{}",
        verified.stdout,
        verified.stderr
    );

    let Some(small) = captured("small.profile", &["--without-types"]) else {
        return;
    };
    let size = fs::metadata(&small).expect("written").len();
    assert!(size < 50_000, "{size} bytes");
    let verified = panal(&["verify", "--profile", &small, FIREWALL]);
    assert_eq!(
        verified.code,
        Some(0),
        "{}{}",
        verified.stdout,
        verified.stderr
    );
}

fn refused(run: &Run, file: &str, says: &str) {
    let problem = run.problem();
    assert!(problem.starts_with(&format!("{file}: ")), "{problem}");
    assert!(problem.contains(says), "{says:?} in {problem}");
}

#[test]
fn files_that_are_no_profiles_are_told() {
    let shown = |file: &str, says: &str| refused(&panal(&["profile", "show", file]), file, says);
    let verified = |file: &str, says: &str| {
        refused(&panal(&["verify", "--profile", file, FIREWALL]), file, says);
    };
    shown("no/such.profile", "No such file or directory");
    shown("examples", "Is a directory");
    shown(FIREWALL, "not a profile: it does not begin with PANALPRF");
    shown(&scratch("empty.profile", b""), "not a profile");
    let only = scratch("magic.profile", b"PANALPRF");
    shown(&only, "header: the file has 8 bytes, its header says 36");
    verified(&only, "header: the file has 8 bytes");
    let newer = scratch("newer.profile", b"PANALPRF\x02\0\0\0");
    shown(
        &newer,
        "profile format 2; this version of Panal reads format 1",
    );
    let huge = path("huge.profile");
    File::create(&huge)
        .and_then(|file| file.set_len(3 << 30))
        .expect("sparse");
    let started = Instant::now();
    shown(&huge, "larger than 1 GiB");
    verified(&huge, "larger than 1 GiB");
    assert!(started.elapsed() < Duration::from_secs(10));
    let _ = fs::remove_file(&huge);
    let run = panal(&["profile", "capture", "/no/such/directory/x.profile"]);
    refused(
        &run,
        "/no/such/directory/x.profile",
        "cannot write: No such file or directory",
    );

    let Some(whole) = captured("whole.profile", &["--without-types"]) else {
        return;
    };
    let bytes = fs::read(&whole).expect("written");
    for len in [9, 20, 36, bytes.len() / 2, bytes.len() - 1] {
        let cut = scratch("cut.profile", &bytes[..len]);
        shown(&cut, &format!("the file has {len} bytes, its header says "));
        verified(&cut, &format!("the file has {len} bytes"));
    }
    let mut changed = bytes.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 0x55;
    shown(&scratch("changed.profile", &changed), "answers: damaged");
    let mut claims = bytes;
    claims[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    shown(
        &scratch("claims.profile", &claims),
        "4294967295 bytes are more than any kernel has",
    );
}
