//! The objects of examples and benchmarks: made from their C sources, and committed beside them.
//!
//! `examples/vmlinux.h` is the C header of the kernel's own types, printed by the kernel itself.
//! The objects carry BTF and no DWARF, so that they depend on the sources, the compiler's version
//! and libbpf's headers only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::run::{Done, cargo, root, run as execute};

const CLANG: &str = "clang-22";
const STRIP: &str = "llvm-strip-22";

/// `cargo xtask examples [--check]`
pub fn run(args: &[String]) -> Done {
    match args {
        [] => make(),
        [check] if check == "--check" => match differences()? {
            different if different.is_empty() => Ok(()),
            different => Err(format!(
                "not what the sources give: {}; run `cargo xtask examples`",
                different.join(", ")
            )),
        },
        _ => Err("usage: cargo xtask examples [--check]".to_owned()),
    }
}

/// Makes the header and all objects anew.
fn make() -> Done {
    write(&directory().join("vmlinux.h"), &header()?)?;
    for source in sources()? {
        let object = source.with_extension("o");
        eprintln!("{}", shown(&object));
        compile(&source, &object)?;
    }
    Ok(())
}

/// Names of committed files that the sources do not give.
fn differences() -> Result<Vec<String>, String> {
    let mut different = Vec::new();
    if fs::read(directory().join("vmlinux.h")).ok() != Some(header()?) {
        different.push("vmlinux.h".to_owned());
    }
    different.extend(different_objects()?);
    Ok(different)
}

fn different_objects() -> Result<Vec<String>, String> {
    let target = root().join("target").join("examples");
    fs::create_dir_all(&target).map_err(|e| format!("{}: {e}", shown(&target)))?;
    let mut different = Vec::new();
    for source in sources()? {
        let committed = source.with_extension("o");
        let fresh = target.join(committed.file_name().unwrap_or_default());
        compile(&source, &fresh)?;
        let read = |path: &Path| fs::read(path).map_err(|e| format!("{}: {e}", shown(path)));
        if fs::read(&committed).ok() != Some(read(&fresh)?) {
            different.push(shown(&committed));
        }
    }
    Ok(different)
}

fn directory() -> PathBuf {
    root().join("examples")
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn write(path: &Path, bytes: &[u8]) -> Done {
    fs::write(path, bytes).map_err(|e| format!("{}: {e}", shown(path)))
}

/// The header, as the kernel prints it.
fn header() -> Result<Vec<u8>, String> {
    let printed = cargo()
        .args([
            "run",
            "--quiet",
            "--package",
            "panal-kernel",
            "--example",
            "vmlinux_h",
        ])
        .output()
        .map_err(|e| format!("cannot start cargo: {e}"))?;
    match printed.status.success() {
        true => Ok(printed.stdout),
        false => Err(format!(
            "vmlinux_h: {}",
            String::from_utf8_lossy(&printed.stderr).trim_end()
        )),
    }
}

/// Where C sources lie.
const FOLDERS: [&str; 2] = ["examples", "bench/programs"];

/// `*.bpf.c` of the folders, by name.
fn sources() -> Result<Vec<PathBuf>, String> {
    let mut sources = Vec::new();
    for folder in FOLDERS {
        let entries = fs::read_dir(root().join(folder)).map_err(|e| format!("{folder}: {e}"))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        sources.extend(paths.filter(|path| path.to_string_lossy().ends_with(".bpf.c")));
    }
    sources.sort();
    Ok(sources)
}

/// Where Debian has the headers of this machine's own architecture, for `<linux/types.h>`.
fn machine_headers() -> String {
    format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH)
}

fn compile(source: &Path, object: &Path) -> Done {
    // Relative names, so that line information is the same wherever the project lies.
    let source = shown(source);
    execute_quietly(
        Command::new(CLANG)
            .current_dir(root())
            .args([
                "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror",
            ])
            .args([
                "-D__TARGET_ARCH_x86",
                "-Iexamples",
                "-fdebug-compilation-dir=.",
            ])
            .arg(machine_headers())
            .args(["-c", &source, "-o"])
            .arg(object),
    )?;
    execute_quietly(Command::new(STRIP).arg("-g").arg(object))
}

fn execute_quietly(command: &mut Command) -> Done {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        // Shown and run once more, so that its messages reach the terminal.
        Ok(_) => execute(command),
        Err(e) => Err(format!(
            "cannot start {}: {e}",
            command.get_program().to_string_lossy()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_here(program: &str) -> bool {
        Command::new(program)
            .arg("--version")
            .output()
            .is_ok_and(|o| o.status.success())
    }

    #[test]
    fn committed_objects_are_what_their_sources_give() {
        let headers = Path::new("/usr/include/bpf/bpf_helpers.h").exists();
        if !is_here(CLANG) || !is_here(STRIP) || !headers {
            println!("skipped: {CLANG}, {STRIP} or libbpf's headers are not installed");
            return;
        }
        assert_eq!(different_objects(), Ok(Vec::new()));
    }
}
