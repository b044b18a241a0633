//! Every kind of event, as a program of its kind sees it: `events.bpf.c`.

use libtest_mimic::{Failed, Trial};
use panal_kernel::{PanalKernel, hooks::ExitStatus};
use panal_loader::Open;
use panal_uapi::kernel::{AttachTarget, Kernel, Order};

use crate::support::{actor, binary, sh};

pub fn tests() -> Vec<Trial> {
    let test = |name: &str, body: fn()| {
        Trial::test(format!("events::{name}"), move || {
            body();
            Ok::<(), Failed>(())
        })
    };
    vec![
        test("every_kind_of_program_sees_what_happened", every_kind),
        test("cgroup_programs_deny_and_redirect", cgroup),
        test("what_has_no_events_cannot_be_attached_to", nothing_there),
    ]
}

const OBJECT: &[u8] = include_bytes!("events.bpf.o");

/// Members of `seen`, in order.
const SEEN: [&str; 14] = [
    "btf_enter",
    "raw_exit",
    "forks",
    "fork_comms",
    "execs",
    "exec_names",
    "exits",
    "exit_comms",
    "btf_forks",
    "btf_fork_parents",
    "btf_execs",
    "btf_exec_files",
    "btf_exits",
    "btf_exit_codes",
];

/// Runs a command with all programs attached but those named; the status and `seen`.
fn run(
    command: &panal_kernel::hooks::Command,
    port: u16,
    without: &[&str],
) -> (ExitStatus, Vec<u64>) {
    let kernel = PanalKernel::new().expect("kernel");
    let mut open = Open::parse(OBJECT, "events.bpf.o").expect("well-formed");
    open.set_variable("port", &port.to_ne_bytes())
        .expect("variable");
    let loaded = open
        .prepare(&kernel)
        .and_then(|p| p.load())
        .expect("loaded");
    let mut links = Vec::new();
    for program in loaded.programs() {
        if without.contains(&program.plan.name.as_str()) {
            continue;
        }
        let link = match program.plan.section.starts_with("cgroup/") {
            true => loaded.attach_to(
                program,
                &AttachTarget::Cgroup {
                    path: "/".into(),
                    order: Order::Appended,
                },
            ),
            false => loaded.attach(program),
        };
        links.push(link.expect("attached"));
    }
    let status = kernel.supervise(command, &mut || {}).expect("supervised");
    let map = &loaded.map(".bss").expect(".bss").fd;
    let value = kernel
        .map_lookup(map, &0u32.to_ne_bytes(), 0)
        .expect("lookup")
        .expect("there");
    let words = value
        .chunks_exact(8)
        .map(|w| u64::from_ne_bytes(w.try_into().expect("8")));
    (status, words.collect())
}

fn every_kind() {
    let binary = binary().display().to_string();
    let script = format!("{binary} actor bad-close 5; (exit 7); cat /dev/null; exit 7");
    for without in [&["connected"][..], &["connected", "opened"]] {
        let (status, seen) = run(&sh(&script), 0, without);
        assert_eq!(status, ExitStatus::Code(7));
        let of = |name: &str| seen[SEEN.iter().position(|n| *n == name).expect("known")];
        assert_eq!(of("btf_enter"), 5);
        assert_eq!(of("raw_exit"), 5);
        // The actor, the subshell, cat.
        for name in ["forks", "fork_comms", "btf_forks", "btf_fork_parents"] {
            assert_eq!(of(name), 3, "{name}");
        }
        // The shell, the actor, cat.
        for name in ["execs", "exec_names", "btf_execs", "btf_exec_files"] {
            assert_eq!(of(name), 3, "{name}");
        }
        for name in ["exits", "exit_comms", "btf_exits"] {
            assert_eq!(of(name), 4, "{name}");
        }
        assert_eq!(of("btf_exit_codes"), 2);
        // What cat opens, and the actor, is opened by a child of the shell.
        assert_eq!(seen[14] > 0, without.len() == 1, "parents: {}", seen[14]);
    }
}

fn cgroup() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("address").port();
    let others = ["opened", "btf_enter", "raw_exit"];
    let (status, seen) = run(&actor(&["connect", "1"]), 0, &others);
    assert_eq!((status, seen[15]), (ExitStatus::Code(libc::EPERM), 1));
    let (status, seen) = run(&actor(&["connect", "1"]), port, &others);
    assert_eq!((status, seen[15]), (ExitStatus::Code(0), 1));
}

fn nothing_there() {
    let kernel = PanalKernel::new().expect("kernel");
    let open = Open::parse(OBJECT, "events.bpf.o").expect("well-formed");
    let loaded = open
        .prepare(&kernel)
        .and_then(|p| p.load())
        .expect("loaded");
    let program = loaded.program("forked").expect("there");
    for (category, name) in [
        ("syscalls", "sys_enter_nothing"),
        ("block", "block_rq_issue"),
    ] {
        let target = AttachTarget::Tracepoint {
            category: category.into(),
            name: name.into(),
        };
        let error = loaded
            .attach_to(program, &target)
            .expect_err("no such events")
            .to_string();
        assert!(error.contains("no events at tracepoint"), "{error}");
    }
}
