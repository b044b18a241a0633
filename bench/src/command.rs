//! The `panal` command under measurement, and other programs beside it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The project's root folder.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The `panal` that was built beside this program.
pub fn panal() -> Result<PathBuf, String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let path = me.with_file_name("panal");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!(
            "{} is not built: cargo build --release -p panal-cli",
            path.display()
        ))
    }
}

/// Whether a program is on PATH.
pub fn is_here(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
}

/// Runs a command with its output thrown away, and tells how long it took.
pub fn time(command: &mut Command) -> Result<Duration, String> {
    let start = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|e| format!("{}: {e}", command.get_program().to_string_lossy()))?;
    let took = start.elapsed();
    if output.status.success() {
        return Ok(took);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{} failed ({}): {}",
        command.get_program().to_string_lossy(),
        output.status,
        stderr.lines().last().unwrap_or_default()
    ))
}

/// The shortest of `rounds` times of each command, taken in turn so that a slow minute hits all.
pub fn best_of(rounds: usize, commands: &mut [&mut Command]) -> Result<Vec<Duration>, String> {
    let mut best = vec![Duration::MAX; commands.len()];
    for _ in 0..rounds {
        for (slot, command) in best.iter_mut().zip(commands.iter_mut()) {
            *slot = (*slot).min(time(command)?);
        }
    }
    Ok(best)
}
