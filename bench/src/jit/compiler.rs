//! clang, for the forms of programs that are made when they are measured.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use super::{engines::Missing, programs::Program};
use crate::command::{is_here, root};

/// The compiler.
pub const CLANG: &str = "clang-22";

/// Where what is made for a program lies: beside this program.
pub fn folder() -> Result<PathBuf, String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let folder = me.with_file_name("bench-jit");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(folder)
}

/// The stand-ins for libbpf's headers, and the harnesses.
pub fn harness() -> PathBuf {
    root().join("bench/native")
}

/// Whether a program can be compiled in another form.
pub fn check(program: &Program) -> Result<(), Missing> {
    match program.not_native {
        Some(why) => Err(Missing::Skipped(why.to_owned())),
        None if !is_here(CLANG) => Err(Missing::Skipped(format!("{CLANG} is not installed"))),
        None => Ok(()),
    }
}

/// Writes a program's packet to a file.
pub fn packet(program: &Program, folder: &Path) -> Result<PathBuf, String> {
    let path = folder.join(format!("{}.bin", program.name));
    fs::write(&path, program.input.bytes()).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

/// Compiles to a file, once in a run.
pub fn clang(to: &Path, arrange: impl FnOnce(&mut Command) -> &mut Command) -> Result<(), String> {
    static MADE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().map_err(|e| e.to_string())?;
    if made.iter().any(|path| path == to) {
        return Ok(());
    }
    compile(to, arrange)?;
    made.push(to.to_path_buf());
    Ok(())
}

fn compile(to: &Path, arrange: impl FnOnce(&mut Command) -> &mut Command) -> Result<(), String> {
    let mut command = Command::new(CLANG);
    command.arg("-o").arg(to);
    command.args(["-O2", "-Wall", "-I"]).arg(harness());
    let output = arrange(&mut command)
        .output()
        .map_err(|e| format!("{CLANG}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
