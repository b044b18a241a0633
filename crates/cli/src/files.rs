//! Files that arguments name, for input and output: what would wait or never end is refused.

use std::{
    fs::{File, FileType, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use rustix::{fs::OFlags, io::Errno};

use crate::error::Problem;

/// No object of the field comes near.
const LARGEST_FILE: u64 = 1 << 30;

/// The name of a file that means standard input or standard output.
pub const STANDARD: &str = "-";

/// Reads a whole file.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Problem> {
    let failed = |error| Problem::file(path, "read", &error);
    // Opening a pipe would wait for its writer, and a device may have no end.
    let meta = std::fs::metadata(path).map_err(failed)?;
    let kind = meta.file_type();
    check_kind(path, kind, "read")?;
    if kind.is_file() && meta.len() > LARGEST_FILE {
        return Err(too_large(path));
    }
    read_all(path, File::open(path).map_err(failed)?)
}

/// Whether a path is a file, or is to become one: opening a pipe would wait for its reader.
pub fn check_output(path: &Path) -> Result<(), Problem> {
    // What else is wrong with it is told where it is written.
    std::fs::metadata(path).map_or(Ok(()), |meta| check_kind(path, meta.file_type(), "write"))
}

fn check_kind(path: &Path, kind: FileType, action: &'static str) -> Result<(), Problem> {
    if kind.is_file() || kind.is_dir() || is_open_pipe(path, kind) {
        return Ok(());
    }
    Err(Problem::File {
        path: path.display().to_string(),
        action,
        reason: format!("it is {}, not a file", kind_name(kind)),
    })
}

fn too_large(path: &Path) -> Problem {
    Problem::File {
        path: path.display().to_string(),
        action: "read",
        reason: "larger than 1 GiB".to_owned(),
    }
}

/// Creates a file for output. A pipe is written to if somebody reads it: nothing waits for that.
pub fn create(path: &Path) -> Result<File, Problem> {
    let failed = |error| Problem::file(path, "write", &error);
    let is_pipe = std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo());
    if !is_pipe {
        return File::create(path).map_err(failed);
    }
    let waits_for_nobody = OFlags::NONBLOCK.bits() as i32;
    let pipe = OpenOptions::new()
        .write(true)
        .custom_flags(waits_for_nobody)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(code) if code == Errno::NXIO.raw_os_error() => Problem::File {
                path: path.display().to_string(),
                action: "write",
                reason: "it is a pipe that nobody reads".to_owned(),
            },
            _ => failed(error),
        })?;
    rustix::fs::fcntl_setfl(&pipe, OFlags::empty()).map_err(|error| failed(error.into()))?;
    Ok(pipe)
}

/// What a shell hands over for `<(command)`: a pipe that has its other end already.
fn is_open_pipe(path: &Path, kind: FileType) -> bool {
    let ours = ["/dev/fd", "/proc/self/fd", "/dev/stdin", "/dev/stdout"];
    kind.is_fifo() && ours.iter().any(|ours| path.starts_with(ours))
}

fn kind_name(kind: FileType) -> &'static str {
    match () {
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () if kind.is_char_device() || kind.is_block_device() => "a device",
        () => "something else",
    }
}

/// Reads what was named as input: a file, or standard input.
pub fn read_input(path: &Path) -> Result<Vec<u8>, Problem> {
    match is_standard(Some(path)) {
        true => read_all(Path::new("standard input"), std::io::stdin().lock()),
        false => read_file(path),
    }
}

fn read_all(path: &Path, input: impl Read) -> Result<Vec<u8>, Problem> {
    let failed = |error| Problem::file(path, "read", &error);
    let mut bytes = Vec::new();
    input
        .take(LARGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(too_large(path));
    }
    Ok(bytes)
}

/// Writes a whole file.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let written = create(path)?.write_all(bytes);
    written.map_err(|error| Problem::file(path, "write", &error))
}

/// Whether a file's name means standard output or standard input.
pub fn is_standard(path: Option<&Path>) -> bool {
    path == Some(Path::new(STANDARD))
}
