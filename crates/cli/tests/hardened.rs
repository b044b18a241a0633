//! Where memory must not become executable (hardened kernels, sandboxes) programs are interpreted:
//! the command says so, once, and the results are the same.
#![cfg(target_os = "linux")]

mod common;

use std::{io, os::unix::process::CommandExt, process::Command};

use common::{root, scratch};
use serde_json::Value;

/// Who forbids it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hardening {
    None,
    /// `PR_SET_MDWE`: the kernel refuses, since Linux 6.3.
    Mdwe,
    /// A sandbox's filter refuses mprotect(2) with PROT_EXEC.
    Seccomp,
}

/// Says "no executable memory" to this process and all that it becomes.
fn harden(hardening: Hardening) -> io::Result<()> {
    const PR_SET_MDWE: libc::c_int = 65;
    const REFUSE_EXEC_GAIN: libc::c_ulong = 1;
    let done = match hardening {
        Hardening::None => 0,
        // SAFETY: no pointers.
        Hardening::Mdwe => unsafe { libc::prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) },
        Hardening::Seccomp => return refuse_mprotect(),
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A seccomp filter: mprotect(2) and mmap(2) that ask for both to be written and executed, or to become
/// executable, give EPERM. The mappings of a library are executable from the start.
fn refuse_mprotect() -> io::Result<()> {
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let unless = |code: u32, k: u32, skip: u8| libc::sock_filter {
        code: (libc::BPF_JMP | code | libc::BPF_K) as u16,
        jt: 0,
        jf: skip,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let mut filter = [
        // struct seccomp_data: the number, then at 32 the third argument.
        statement(load, 0),
        unless(libc::BPF_JEQ, libc::SYS_mprotect as u32, 3),
        statement(load, 32),
        unless(libc::BPF_JSET, libc::PROT_EXEC as u32, 1),
        statement(libc::BPF_RET, ERRNO | libc::EPERM as u32),
        statement(libc::BPF_RET, ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the filter lives until the call has copied it.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Standard output and standard error of a successful run; `None` when this kernel cannot forbid it so.
fn panal(hardening: Hardening, arguments: &[&str]) -> Option<(String, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_panal"));
    command.args(arguments).current_dir(root());
    // SAFETY: prctl(2) may be called between fork and exec; the filter is on the stack.
    unsafe { command.pre_exec(move || harden(hardening)) };
    let output = match command.output() {
        Ok(output) => output,
        Err(why) => {
            println!("skipped: {hardening:?} cannot be had here: {why}");
            return None;
        }
    };
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(0), "{hardening:?}: {err}");
    Some((out, err))
}

/// Arguments that run a program on a packet.
fn prog_run<'a>(packet: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    let object = "crates/cli/tests/objects/rejected.bpf.o";
    let mut arguments = vec!["prog", "run", object, "--program", "fine"];
    arguments.extend(["--data-in", packet, "--var", "wanted=4"]);
    arguments.extend(extra);
    arguments
}

#[test]
fn a_test_run_falls_back_and_says_so() {
    let packet = scratch("hardened.bin", &[0; 64]);
    let usual = prog_run(&packet, &["--json"]);
    let (out, err) = panal(Hardening::None, &usual).expect("nothing is forbidden");
    let expected: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&expected["engine"], err.as_str()), (&"jit".into(), ""));
    assert!(expected.get("interpreted").is_none());
    for hardening in [Hardening::Mdwe, Hardening::Seccomp] {
        for extra in [&["--json"][..], &["--json", "--cage"]] {
            let Some((out, err)) = panal(hardening, &prog_run(&packet, extra)) else {
                continue;
            };
            let json: Value = serde_json::from_str(&out).expect("JSON");
            for same in ["retval", "data_out", "program"] {
                assert_eq!(json[same], expected[same], "{hardening:?}");
            }
            assert_eq!(json["engine"], "interp", "{hardening:?}");
            let why = json["interpreted"].as_str().expect("a reason");
            assert!(why.starts_with("no executable memory: mprotect"), "{why}");
            assert_eq!(err, format!("note: fine is interpreted: {why}\n"));
        }
        let Some((out, err)) = panal(hardening, &prog_run(&packet, &[])) else {
            continue;
        };
        assert!(out.contains(" ns a run by interp"), "{out}");
        assert_eq!(err.matches("no executable memory").count(), 1, "{err}");
        // Who asks for the interpreter is told nothing.
        let asked = prog_run(&packet, &["--engine", "interp"]);
        let (_, err) = panal(hardening, &asked).expect("as before");
        assert_eq!(err, "");
    }
}

#[test]
fn a_run_falls_back_and_says_so_once() {
    let arguments = |json: &'static [&'static str]| {
        let mut arguments = vec!["run", "examples/syscall_latency.bpf.o"];
        arguments.extend(json);
        arguments.extend(["--", "true"]);
        arguments
    };
    let (_, err) = panal(Hardening::None, &arguments(&[])).expect("nothing is forbidden");
    if err.contains("note: ") {
        return println!("skipped: this run has other things to say: {err}");
    }
    for hardening in [Hardening::Mdwe, Hardening::Seccomp] {
        let Some((out, err)) = panal(hardening, &arguments(&["--json"])) else {
            continue;
        };
        assert_eq!(err.matches("no executable memory").count(), 1, "{err}");
        let first = out.lines().next().expect("a line");
        let first: Value = serde_json::from_str(first).expect("JSON");
        let names = first["interpreted"]["programs"].as_array().expect("names");
        assert!(names.len() > 1, "{first}");
        for name in names {
            assert!(err.contains(name.as_str().expect("a name")), "{err}");
        }
        let why = first["interpreted"]["why"].as_str().expect("a reason");
        assert!(err.contains(why), "{err}");
    }
}
