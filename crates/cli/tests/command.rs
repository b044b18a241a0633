//! What holds for every command: help, exit codes, bad input, colours, pipes that close.

mod common;

use std::process::{Command, Stdio};

use common::{panal, panal_with, scratch};

const FIREWALL: &str = "examples/firewall.bpf.o";

#[test]
fn every_command_has_help_with_examples() {
    for command in [
        &["verify"][..],
        &["run"],
        &["prog", "run"],
        &["dump"],
        &["completions"],
    ] {
        let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let run = panal(&arguments);
        assert_eq!(run.code, Some(0));
        assert!(
            run.stdout.contains("Examples:\n  panal "),
            "{command:?}: {}",
            run.stdout
        );
    }
    let run = panal(&["help", "verify"]);
    assert_eq!(run.code, Some(0));
    assert!(run.stdout.contains("Exit codes: 0 all accepted"));
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = panal(&["completions", shell]);
        assert_eq!(run.code, Some(0));
        assert!(run.stdout.contains("verify"), "{shell}");
    }
}

#[test]
fn wrong_arguments_are_exit_code_2() {
    for arguments in [
        &["run", FIREWALL, "--out", "out.pcap", "--", "true"][..],
        &["frobnicate"][..],
        &["verify"],
        &["dump", FIREWALL, "music"],
        &[],
    ] {
        assert_eq!(panal(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn files_that_are_no_objects_are_told_apart() {
    let empty = scratch("empty.o", b"");
    let text = scratch("text.o", b"int main(void) { return 0; }\n");
    let whole = std::fs::read(common::root().join(FIREWALL)).expect("the example");
    let cut = scratch("cut.o", &whole[..whole.len() / 2]);
    let no_elf = "not an ELF object file";
    for (path, reason) in [
        ("no/such/file.o", "cannot read: No such file or directory"),
        ("examples", "cannot read: Is a directory"),
        (&empty, no_elf),
        (&text, no_elf),
    ] {
        let expected = format!("{path}: {reason}");
        assert_eq!(panal(&["verify", path]).problem(), expected);
        assert_eq!(panal(&["dump", path, "asm"]).problem(), expected);
        assert_eq!(
            panal(&["prog", "run", path, "--program", "x"]).problem(),
            expected
        );
        assert_eq!(panal(&["run", path, "--", "true"]).problem(), expected);
    }
    let run = panal(&["verify", &cut]);
    assert!(
        run.problem().contains("(the file is damaged)"),
        "{}",
        run.stderr
    );
}

#[test]
fn json_tells_of_objects_that_are_none_too() {
    let run = panal(&["verify", "--json", "no/such/file.o", "examples"]);
    assert_eq!(run.code, Some(2));
    assert_eq!(run.stderr, "");
    let answers = run.json();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["file"], "no/such/file.o");
    assert_eq!(answers[0]["verdict"], "error");
    assert_eq!(
        answers[0]["error"]["message"],
        "cannot read: No such file or directory"
    );
}

#[test]
fn an_unknown_profile_is_named() {
    let run = panal(&["verify", "--profile", "beos", FIREWALL]);
    assert!(
        run.problem()
            .starts_with("no profile `beos`: there are panal"),
        "{}",
        run.stderr
    );
    let run = panal(&["verify", "--profile", "README.md", FIREWALL]);
    assert!(
        run.problem().starts_with("README.md: not a kernel's BTF"),
        "{}",
        run.stderr
    );
}

#[test]
fn colours_are_for_those_who_want_them() {
    let dump = ["dump", FIREWALL, "relocations"];
    let with = |extra: &[&str], environment: &[(&str, &str)]| {
        let arguments: Vec<&str> = dump.iter().chain(extra).copied().collect();
        panal_with(&arguments, environment, b"")
            .stdout
            .contains('\x1b')
    };
    assert!(!with(&[], &[]), "a pipe is no terminal");
    assert!(with(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(with(&["--color", "always"], &[]));
    assert!(!with(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_panal"))
        .args(["dump", FIREWALL, "cfg"])
        .current_dir(common::root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("panal starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("panal ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
