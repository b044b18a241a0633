//! Signals: what is sent to `panal` is for the command that it runs, which decides; an instance
//! leaves nothing behind.
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use common::root;

const SIGNALS: [(&str, i32); 4] = [
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("TERM", libc::SIGTERM),
    ("HUP", libc::SIGHUP),
];

trait HeedingSignals {
    /// With the signals' usual effect, though the test be run in a background that ignores some: a
    /// shell cannot trap what was ignored when it began.
    fn heeding_signals(&mut self) -> &mut Self;
}

impl HeedingSignals for Command {
    fn heeding_signals(&mut self) -> &mut Self {
        // SAFETY: signal(2) may be called between fork and exec.
        unsafe {
            self.pre_exec(|| {
                for (_, signal) in SIGNALS {
                    libc::signal(signal, libc::SIG_DFL);
                }
                Ok(())
            })
        }
    }
}

/// Starts a command that has said `ready`; `None` when this machine cannot.
fn started(kernel: &str, script: &str) -> Option<(Child, BufReader<impl Read + use<>>)> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_panal"))
        .current_dir(root())
        .args(["run", "examples/opensnoop.bpf.o", "--kernel", kernel])
        .args(["--output", "/dev/null", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .heeding_signals()
        .spawn()
        .expect("panal starts");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    output.read_line(&mut line).expect("text");
    if line != "ready\n" {
        let output = child.wait_with_output().expect("ends");
        println!(
            "skipped: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        return None;
    }
    Some((child, output))
}

fn send(child: &Child, signal: i32) {
    // SAFETY: the process is our child and was not waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

/// Exit code and standard error.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let mut errors = String::new();
    let mut pipe = child.stderr.take().expect("piped");
    pipe.read_to_string(&mut errors).expect("text");
    (child.wait().expect("ends").code(), errors)
}

#[test]
fn a_command_gets_the_signals_and_its_exit_code_is_kept() {
    for kernel in ["panal", "linux"] {
        for (name, signal) in SIGNALS {
            let script = format!(
                "trap 'echo got {name}; exit 5' {name}; echo ready; while :; do sleep 0.05; done"
            );
            let Some((child, mut output)) = started(kernel, &script) else {
                break;
            };
            send(&child, signal);
            let mut rest = String::new();
            output.read_to_string(&mut rest).expect("text");
            assert_eq!(rest, format!("got {name}\n"), "{kernel}");
            let (code, errors) = ended(child);
            assert_eq!(code, Some(5), "{kernel}, {name}: {errors}");
            assert_eq!(errors, "note: sh exited with code 5\n", "{kernel}, {name}");
        }
    }
}

#[test]
fn a_command_that_dies_of_a_signal_is_told() {
    for kernel in ["panal", "linux"] {
        let Some((child, _output)) = started(kernel, "echo ready; exec sleep 60") else {
            continue;
        };
        send(&child, libc::SIGTERM);
        let (code, errors) = ended(child);
        assert_eq!(code, Some(128 + libc::SIGTERM), "{kernel}: {errors}");
        assert_eq!(
            errors, "error: sh was killed by signal 15 (SIGTERM)\n",
            "{kernel}"
        );
    }
}

#[test]
fn once_the_command_has_ended_a_signal_ends_the_rest() {
    for kernel in ["panal", "linux"] {
        let script = "setsid sleep 60 >/dev/null 2>&1 & echo ready; exit 0";
        let Some((child, _output)) = started(kernel, script) else {
            continue;
        };
        // Until the shell, which has said its last word, is gone.
        std::thread::sleep(std::time::Duration::from_millis(500));
        send(&child, libc::SIGTERM);
        let started = std::time::Instant::now();
        ended(child);
        assert!(
            started.elapsed() < std::time::Duration::from_secs(30),
            "{kernel}"
        );
    }
}

#[test]
fn an_instance_takes_its_socket_with_it() {
    for (name, signal) in SIGNALS {
        let runtime =
            std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{name}"));
        std::fs::create_dir_all(&runtime).expect("a directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_panal"))
            .arg("serve")
            .env("XDG_RUNTIME_DIR", &runtime)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("panal starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("text");
        let socket = runtime.join(format!("panal/{}.sock", child.id()));
        assert!(socket.exists());
        send(&child, signal);
        let (code, errors) = ended(child);
        assert_eq!((code, &*errors), (Some(0), ""), "{name}");
        assert!(!socket.exists(), "{name}");
    }
}
