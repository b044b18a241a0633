//! Where figures come from: the machine, and the version of everything that was measured.

use std::{fs, process::Command};

use super::{compiler::CLANG, peers};
use crate::command::root;

/// What and its version, in the order of the document.
pub fn facts() -> Vec<(String, String)> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut facts = vec![
        ("CPU", cpu(&cpuinfo)),
        ("Linux", read("/proc/sys/kernel/osrelease")),
        ("Linux's JIT", jit()),
        (
            "spectre_v2",
            read("/sys/devices/system/cpu/vulnerabilities/spectre_v2"),
        ),
        ("Panal", said("git", &["describe", "--always", "--dirty"])),
        ("rustc", said("rustc", &["--version"])),
        ("clang", said(CLANG, &["--version"])),
        ("day", said("date", &["-u", "+%F"])),
        ("load when it ended", read("/proc/loadavg")),
    ];
    facts.retain(|(_, what)| !what.is_empty());
    let mut facts: Vec<(String, String)> = facts
        .into_iter()
        .map(|(name, what)| (name.to_owned(), what))
        .collect();
    for peer in peers::ALL {
        if let Some(version) = version(peer.name) {
            facts.push((peer.name.to_owned(), format!("{version}; {}", peer.how)));
        }
    }
    facts
}

/// Model, number of cores, and whether it is a virtual machine.
fn cpu(cpuinfo: &str) -> String {
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|l| l.starts_with(name))?;
        Some(line.split_once(':')?.1.trim())
    };
    let cores = cpuinfo
        .lines()
        .filter(|l| l.starts_with("processor"))
        .count();
    let numbers = ["cpu family", "model\t", "stepping"].map(|f| field(f).unwrap_or("?"));
    let kind = match field("flags").is_some_and(|f| f.split(' ').any(|flag| flag == "hypervisor")) {
        true => "a shared virtual machine with",
        false => "",
    };
    format!(
        "{} (family {}, model {}, stepping {}), {kind} {cores} cores",
        field("model name").unwrap_or(std::env::consts::ARCH),
        numbers[0],
        numbers[1],
        numbers[2],
    )
}

fn jit() -> String {
    let setting = |name: &str| read(&format!("/proc/sys/net/core/{name}"));
    let (enable, harden) = (setting("bpf_jit_enable"), setting("bpf_jit_harden"));
    match enable.is_empty() {
        true => String::new(),
        false => format!("bpf_jit_enable {enable}, bpf_jit_harden {harden}"),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// The first line that a command says.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .current_dir(root())
        .args(arguments)
        .output();
    let text = output.map(|o| o.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().next().unwrap_or_default().to_owned()
}

/// The version of a crate that is built in, as `Cargo.lock` has it.
fn version(name: &str) -> Option<String> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).ok()?;
    let at = lock.find(&format!("name = \"{name}\"\n"))?;
    let line = lock[at..].lines().nth(1)?;
    let version = line.trim_start_matches("version = ");
    Some(version.trim_matches('"').to_owned())
}
