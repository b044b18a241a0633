//! What tests attach to: two network namespaces with a cable between them.

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::common::root;

pub const OBJECT: &str = "crates/cli/tests/objects/network.bpf.o";

/// Why this machine cannot be asked, if it cannot.
pub fn missing() -> Option<String> {
    // SAFETY: the call takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return Some("not root".to_owned());
    }
    let tools: [(&str, &[&str]); 3] = [("ip", &["-V"]), ("tc", &["-V"]), ("bpftool", &["version"])];
    let absent = |(tool, asked): &(&str, &[&str])| match Command::new(tool).args(*asked).output() {
        Ok(output) if output.status.success() => None,
        _ => Some(format!("no {tool}")),
    };
    let first = tools.iter().find_map(absent);
    first.or_else(|| {
        let probe = crate::common::panal(&[
            "run",
            OBJECT,
            "--kernel",
            "linux",
            "--program",
            "on_device",
            "--",
            "true",
        ]);
        (probe.code != Some(0)).then(|| probe.stderr.trim_end().to_owned())
    })
}

/// Runs a tool; it must succeed.
#[track_caller]
pub fn tool(words: &str) -> String {
    let output = try_tool(words);
    assert!(
        output.status.success(),
        "{words}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs a tool.
pub fn try_tool(words: &str) -> Output {
    let mut words = words.split(' ');
    let name = words.next().expect("a tool");
    let mut command = Command::new(name);
    command.args(words).current_dir(root());
    command.output().unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Two namespaces, each with one end of a cable: `v0` at 10.77.0.1 and fd77::1, `v1` at 10.77.0.2 and
/// fd77::2. They are removed when this is dropped.
pub struct Cable {
    pub near: String,
    pub far: String,
}

impl Cable {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |end: &str| format!("panal-{}-{number}{end}", std::process::id());
        let cable = Cable {
            near: name("a"),
            far: name("b"),
        };
        let Cable { near, far } = &cable;
        tool(&format!("ip netns add {near}"));
        tool(&format!("ip netns add {far}"));
        tool(&format!(
            "ip -n {near} link add v0 numtxqueues 2 numrxqueues 2 type veth peer name v1 netns {far}"
        ));
        for (namespace, name, number) in [(near, "v0", 1), (far, "v1", 2)] {
            tool(&format!("ip -n {namespace} link set lo up"));
            tool(&format!("ip -n {namespace} link set {name} up"));
            tool(&format!(
                "ip -n {namespace} address add 10.77.0.{number}/24 dev {name}"
            ));
            tool(&format!(
                "ip -n {namespace} address add fd77::{number}/64 dev {name} nodad"
            ));
        }
        cable
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            let _ = try_tool(&format!("ip netns del {namespace}"));
        }
    }
}

/// This binary as the one that causes events.
pub fn actor() -> String {
    let own: PathBuf = std::env::current_exe().expect("readable");
    format!("{} actor", own.display())
}

/// Ids of the loaded programs of this name, of a list by bpftool.
pub fn programs(json: &str, name: &str) -> Vec<u64> {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let all = value.as_array().cloned().unwrap_or_default();
    // The kernel cuts names; bpftool may have found the whole one.
    let cut: String = name.chars().take(15).collect();
    all.iter()
        .filter(|program| program["name"] == cut.as_str() || program["name"] == name)
        .filter_map(|program| program["id"].as_u64())
        .collect()
}

/// Links of these types, by Linux's number where bpftool does not know the name.
pub fn is_link_type(shown: &serde_json::Value, name: &str) -> bool {
    const NUMBERS: [(&str, u64); 3] = [("netfilter", 10), ("tcx", 11), ("sockmap", 14)];
    let number = NUMBERS.iter().find(|(n, _)| *n == name);
    *shown == name || number.is_some_and(|(_, number)| *shown == *number)
}

/// Whether bpftool shows something of this kind and id.
pub fn is_there(kind: &str, id: u64) -> bool {
    try_tool(&format!("bpftool {kind} show id {id}"))
        .status
        .success()
}

/// Waits until something holds; whether it did within five seconds.
pub fn soon(holds: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    while !holds() {
        if begin.elapsed() > Duration::from_secs(5) {
            return false;
        }
        sleep(Duration::from_millis(20));
    }
    true
}

/// Ids of the links that a process has open.
pub fn links_of(pid: u32) -> Vec<u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("a process");
    entries
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok())
        .filter_map(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("link_id:"))?;
            line.trim().parse().ok()
        })
        .collect()
}
