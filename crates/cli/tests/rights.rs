//! What each thing takes on Linux, and what is said when a right is missing: a process of another
//! user that has only the capabilities that it was given.
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// A directory that everybody may read, with the command and the objects.
struct Stage(PathBuf);

impl Stage {
    /// `None`, and why is said, where rights cannot be dropped and given.
    fn new() -> Option<Stage> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("panal-rights-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        let stage = Stage(path);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&stage.0, mode.clone()).expect("changed");
        common::copy_command(&stage.0.join("panal"));
        for object in [
            "crates/linux/tests/objects/trace.bpf.o",
            "crates/linux/tests/objects/iterators.bpf.o",
            "crates/cli/tests/objects/network.bpf.o",
            "crates/cli/tests/objects/struct_ops.bpf.o",
            "examples/firewall.bpf.o",
        ] {
            let name = Path::new(object).file_name().expect("a name");
            let to = stage.0.join(name);
            fs::copy(common::root().join(object), &to).expect("copied");
            fs::set_permissions(&to, mode.clone()).expect("changed");
        }
        let (code, text) = stage.run(
            "bpf,perfmon",
            "verify --kernel linux trace.bpf.o --program on_tp_btf",
        );
        if code != Some(0) {
            println!("skipped: setpriv (util-linux) cannot give rights here, or no bpf(2): {text}");
            return None;
        }
        Some(stage)
    }

    /// Exit code and all output of a run with these capabilities only.
    fn run(&self, capabilities: &str, arguments: &str) -> (Option<i32>, String) {
        let names = capabilities.split(',').filter(|name| !name.is_empty());
        let set: String = ["-all".to_owned()]
            .into_iter()
            .chain(names.map(|name| format!(",+{name}")))
            .collect();
        let output = Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .args([
                "--bounding-set",
                &set,
                "--inh-caps",
                &set,
                "--ambient-caps",
                &set,
            ])
            .arg(self.0.join("panal"))
            .args(arguments.split(' '))
            .current_dir(&self.0)
            .env_remove("XDG_RUNTIME_DIR")
            .output();
        let Ok(output) = output else {
            return (None, "there is no setpriv".to_owned());
        };
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Words of an error.
type Says = &'static [&'static str];
/// It is done.
const DONE: Says = &[];

const TRACE: &str = "run --kernel linux trace.bpf.o --duration 0.05 --program";
const NET: &str = "run --kernel linux network.bpf.o --duration 0.05 --program";

/// Capabilities, arguments, and what an error says.
#[rustfmt::skip]
const CASES: &[(&str, &str, &str, Says)] = &[
    ("", TRACE, "on_raw_tracepoint", &["BPF_MAP_CREATE: EPERM", "lacks CAP_BPF: run it as root", "unprivileged_bpf_disabled"]),
    ("bpf", TRACE, "on_raw_tracepoint", &["BPF_PROG_LOAD: EPERM", "lacks CAP_PERFMON:"]),
    ("bpf,perfmon", TRACE, "on_raw_tracepoint", DONE),
    ("bpf,perfmon", TRACE, "on_tp_btf", DONE),
    ("bpf,perfmon", TRACE, "on_sample", DONE),
    ("sys_admin", TRACE, "on_raw_tracepoint", DONE),
    ("bpf,perfmon", TRACE, "on_uprobe_library", &["BPF_LINK_CREATE: EACCES", "lacks CAP_SYS_ADMIN:"]),
    ("bpf,perfmon,sys_admin", TRACE, "on_uprobe_library", DONE),
    ("bpf,perfmon,sys_admin,dac_read_search", TRACE, "on_tracepoint", DONE),
    ("bpf,perfmon", "run --kernel linux iterators.bpf.o --program", "maps", DONE),
    ("bpf", NET, "on_xdp --interface lo --xdp-mode generic", &["BPF_PROG_LOAD: EPERM", "lacks CAP_NET_ADMIN:"]),
    ("bpf,net_admin", NET, "on_xdp --interface lo --xdp-mode generic", DONE),
    ("bpf,net_admin", NET, "on_tc --interface lo", DONE),
    ("bpf,net_admin", NET, "on_sk_lookup", DONE),
    ("bpf,net_admin", NET, "on_netfilter --netfilter ipv4/input", DONE),
    ("bpf", NET, "on_sk_lookup", &["BPF_MAP_CREATE: EPERM", "sockmap", "lacks CAP_NET_ADMIN:"]),
    ("bpf,net_admin", NET, "on_socket --interface lo", &["AF_PACKET: EPERM", "lacks CAP_NET_RAW:"]),
    ("bpf,net_admin,net_raw", NET, "on_socket --interface lo", DONE),
    ("bpf,net_admin", NET, "on_reuseport --socket 1:0", &["--socket 1:0: EPERM", "CAP_SYS_PTRACE"]),
    ("bpf,net_admin", NET, "on_xdp --interface lo --netns /proc/self/ns/net", &["--netns", "EPERM", "takes CAP_SYS_ADMIN"]),
    ("bpf,net_admin", "run --kernel linux struct_ops.bpf.o --duration", "0.05", &["BPF_PROG_LOAD: EPERM", "lacks CAP_PERFMON:"]),
    ("bpf,perfmon,net_admin", "run --kernel linux struct_ops.bpf.o --duration", "0.05", DONE),
    ("bpf,perfmon,net_admin", "verify --kernel linux", "firewall.bpf.o", DONE),
    ("bpf,perfmon,net_admin", "map --kernel linux", "show", &["BPF_MAP_GET_NEXT_ID: EPERM", "CAP_SYS_ADMIN"]),
];

#[test]
fn every_missing_right_is_named_and_no_other() {
    let Some(stage) = Stage::new() else { return };
    for (capabilities, command, rest, says) in CASES {
        let case = format!("[{capabilities}] {command} {rest}");
        let arguments = match *command {
            "map --kernel linux" => "map show --kernel linux".to_owned(),
            command => format!("{command} {rest}"),
        };
        let (code, text) = stage.run(capabilities, &arguments);
        let lacks = ["EOPNOTSUPP", "this kernel has no"];
        if lacks.iter().any(|lack| text.contains(lack)) {
            println!("skipped: {case}: {text}");
            continue;
        }
        let expected = if says.is_empty() { Some(0) } else { Some(2) };
        assert_eq!(code, expected, "{case}: {text}");
        for words in *says {
            assert!(text.contains(words), "{case}: {words:?} in {text}");
        }
        // Rights that are there, or are not asked for, are not said to be missing.
        let wanted = says
            .iter()
            .flat_map(|words| words.split(' '))
            .filter(|w| w.starts_with("CAP_"));
        let wanted: Vec<&str> = wanted.map(|word| word.trim_end_matches(':')).collect();
        let named = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        for name in named.filter(|name| name.starts_with("CAP_")) {
            assert!(wanted.contains(&name), "{case}: {name} in {text}");
        }
    }
}

#[test]
fn a_tracing_file_system_of_root_s_is_told() {
    let Some(stage) = Stage::new() else { return };
    let tracepoint = format!("{TRACE} on_tracepoint");
    let (code, text) = stage.run("bpf,perfmon", &tracepoint);
    if code == Some(0) {
        return println!("skipped: the tracing file system is everybody's here");
    }
    // It is mounted, and root's alone; or it is not, and may not be: other tests mount it meanwhile.
    let says = [
        "/id: the tracing file system is root's alone: this process lacks CAP_DAC_READ_SEARCH",
        "the tracing file system is not mounted, and cannot be: this process lacks CAP_SYS_ADMIN",
    ];
    assert!(says.iter().any(|words| text.contains(words)), "{text}");
    assert!(!text.contains("CAP_NET"), "{text}");
    let (_, text) = stage.run("bpf,perfmon,sys_admin", &tracepoint);
    let says = "the tracing file system is root's alone: this process lacks CAP_DAC_READ_SEARCH";
    assert!(text.contains(says), "{text}");
}

#[test]
fn a_command_takes_a_cgroup_of_one_s_own() {
    let Some(stage) = Stage::new() else { return };
    let run = "run --kernel linux trace.bpf.o --program on_raw_tracepoint -- true";
    let (code, text) = stage.run("bpf,perfmon", run);
    if text.contains("no cgroup2 file system") {
        return println!("skipped: {text}");
    }
    assert_eq!(code, Some(2), "{text}");
    for words in [
        "error: a cgroup for the command: /",
        "EACCES (permission denied)",
        "run panal as root, or in a cgroup of your own",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    let (code, text) = stage.run("bpf,perfmon,dac_override", run);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn no_locked_memory_is_no_obstacle() {
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program)
            .args(arguments)
            .arg(env!("CARGO_BIN_EXE_panal"))
            .args([
                "run",
                "examples/opensnoop.bpf.o",
                "--kernel",
                "linux",
                "--json",
                "--",
                "true",
            ])
            .current_dir(common::root())
            .output()
    };
    match run("env", &[]) {
        Ok(output) if output.status.success() => {}
        _ => return println!("skipped: programs cannot be run on Linux here"),
    }
    match run("prlimit", &["--memlock=0:0"]) {
        Ok(output) => assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => println!("skipped: prlimit (util-linux): {error}"),
    }
}

#[test]
fn a_full_map_is_told() {
    let mut words = vec![
        "run",
        "crates/cli/tests/objects/events.bpf.o",
        "--kernel",
        "linux",
    ];
    let entries: Vec<String> = (0..17)
        .map(|key| format!("silent={key}:{{packets: 1}}"))
        .collect();
    for entry in &entries {
        words.extend(["--map", entry]);
    }
    words.extend([
        "--interface",
        "lo",
        "--xdp-mode",
        "generic",
        "--duration",
        "0.05",
    ]);
    let run = common::panal(&words);
    if run.stderr.contains("EPERM") {
        return println!("skipped: {}", run.stderr.trim_end());
    }
    let problem = run.problem();
    for part in [
        "--map silent=16:",
        "BPF_MAP_UPDATE_ELEM: E2BIG",
        "the map is full (16 elements)",
    ] {
        assert!(problem.contains(part), "{part:?} in {problem}");
    }
}
