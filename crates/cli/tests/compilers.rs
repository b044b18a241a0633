//! Objects of several compilers, optimisation levels and instruction sets are accepted, but for those
//! that Linux, too, refuses: what a compiler makes of a loop may be too complex.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

const COMPILERS: &[&str] = &["clang-22", "clang-19"];
const LEVELS: &[&str] = &["-O1", "-O2", "-O3"];
const CPUS: &[&str] = &["v1", "v2", "v3", "v4"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn is_here(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|o| o.status.success())
}

fn sources() -> Vec<PathBuf> {
    let folder = root().join("bench/programs");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("bench/programs")
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.to_string_lossy().ends_with(".bpf.c"))
        .collect();
    found.sort();
    found
}

#[test]
fn what_every_compiler_level_and_instruction_set_makes_is_accepted_as_by_linux() {
    if !Path::new("/usr/include/bpf/bpf_helpers.h").exists() {
        println!("skipped: libbpf's headers are not installed (libbpf-dev)");
        return;
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compilers.o");
    for compiler in COMPILERS {
        if !is_here(compiler) {
            println!("skipped: {compiler} is not installed");
            continue;
        }
        for source in sources() {
            for level in LEVELS {
                for cpu in CPUS {
                    accepted(compiler, &source, level, cpu, &out);
                }
            }
        }
    }
}

fn accepted(compiler: &str, source: &Path, level: &str, cpu: &str, out: &Path) {
    let what = format!("{compiler} {level} -mcpu={cpu} {}", source.display());
    let compiled = Command::new(compiler)
        .args([level, "-g", "-target", "bpf", "-Wall", "-idirafter"])
        .arg(format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH))
        .arg(format!("-mcpu={cpu}"))
        .arg("-c")
        .arg(source)
        .arg("-o")
        .arg(out)
        .output()
        .expect("the compiler starts");
    let stderr = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{what}: {stderr}");
    let (code, said) = verified(out, &[]);
    if code == Some(0) {
        return;
    }
    let (linux, of_linux) = verified(out, &["--kernel", "linux"]);
    match linux {
        Some(2) => println!("skipped: {what}: Linux cannot be asked: {of_linux}"),
        _ => assert_eq!(code, linux, "{what}:\n{said}\nLinux:\n{of_linux}"),
    }
}

/// The exit code of `panal verify`, and all that it says.
fn verified(object: &Path, options: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_panal"))
        .arg("verify")
        .args(options)
        .arg(object)
        .output()
        .expect("panal starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}
