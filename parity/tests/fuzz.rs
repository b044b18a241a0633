//! `panal-parity fuzz` as its users call it.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

fn fuzz(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_panal-parity"));
    let output = command.arg("fuzz").args(args).output();
    output.expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether Linux can be asked here; says so when it cannot.
fn skipped(output: &Output) -> bool {
    let text = text(&output.stdout);
    let why = text.lines().find(|line| line.starts_with("skipped: "));
    if let Some(why) = why {
        assert!(output.status.success(), "{why}");
        println!("{why}");
    }
    why.is_some()
}

fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder.join(name)
}

#[test]
fn a_run_is_written_down_and_can_be_repeated() {
    let [one, two] = ["one.json", "two.json"].map(file);
    for (path, jobs) in [(&one, "1"), (&two, "2")] {
        let path = path.to_str().expect("a path");
        let args = [
            "--seed",
            "1",
            "--programs",
            "60",
            "--seconds",
            "300",
            "--jobs",
            jobs,
        ];
        let output = fuzz(&[&args[..], &["--json", path]].concat());
        if skipped(&output) {
            return;
        }
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    }
    let [one, two] = [one, two].map(|path| {
        let text = std::fs::read_to_string(path).expect("written");
        serde_json::from_str::<Value>(&text).expect("JSON")
    });
    assert_eq!(one["programs"], 60);
    assert_eq!(one["next_seed"], 61);
    assert!(one["compared"].as_u64() > Some(10), "{one}");
    for same in ["accepted", "compared", "differences", "dangerous_left_out"] {
        assert_eq!(one[same], two[same], "{same}");
    }
}

#[test]
fn what_once_disagreed_agrees_now() {
    let mended = include_str!("mended.txt").lines();
    let cases: Vec<(u64, &str)> = mended
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split([' ', ':']).filter(|word| !word.is_empty());
            let seed = words.next().and_then(|seed| seed.parse().ok());
            (seed.expect("a seed"), words.next().expect("a kind"))
        })
        .collect();
    let [run, out] = ["run.json", "again.json"].map(file);
    let said: Vec<Value> = cases
        .iter()
        .map(|(seed, kind)| serde_json::json!({"kind": kind, "seed": seed}))
        .collect();
    let said = serde_json::json!({ "cases": said });
    std::fs::write(&run, said.to_string()).expect("written");
    let paths = [&run, &out].map(|path| path.to_str().expect("a path"));
    let output = fuzz(&["--again", paths[0], "--json", paths[1]]);
    if skipped(&output) {
        return;
    }
    let all = text(&output.stdout);
    let noted: Value =
        serde_json::from_str(&std::fs::read_to_string(&out).expect("written")).expect("JSON");
    for (at, (seed, kind)) in cases.iter().enumerate() {
        assert!(
            all.contains(&format!("seed {seed}: {kind}, now agrees")),
            "{all}"
        );
        assert_eq!(noted["cases"][at]["now"], "agrees");
    }
}

#[test]
fn what_cannot_be_tried_is_two() {
    for (args, why) in [
        (
            &["--seconds", "soon"][..],
            "--seconds wants a number, not soon",
        ),
        (&["--frobnicate", "1"], "no such option: --frobnicate"),
        (&["--seconds"], "--seconds wants a value"),
    ] {
        let output = fuzz(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            text(&output.stderr).contains(why),
            "{}",
            text(&output.stderr)
        );
    }
    let output = fuzz(&["--again", "/nonexistent"]);
    if !skipped(&output) {
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("/nonexistent"));
    }
}
