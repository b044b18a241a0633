//! Reading objects, and what they hold under the names that users give.

use std::{
    collections::BTreeSet,
    fs::{File, FileType, OpenOptions},
    io::Read,
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use panal_loader::Open;
use panal_object::{Element, Function, FunctionId, Object, Origin, Target};
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
    std::fs::write(path, bytes).map_err(|error| Problem::file(path, "write", &error))
}

/// Whether a file's name means standard output or standard input.
pub fn is_standard(path: Option<&Path>) -> bool {
    path == Some(Path::new(STANDARD))
}

/// Reads an object.
pub fn open(path: &Path) -> Result<Object, Problem> {
    let bytes = read_file(path)?;
    Object::parse(&bytes).map_err(|error| Problem::Object {
        path: path.display().to_string(),
        error,
    })
}

/// Reads an object to load it.
pub fn load(path: &Path) -> Result<Open, Problem> {
    let name = path
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    Open::new(open(path)?, &name)
        .map_err(|error| Problem::Asked(format!("{}: {error}", path.display())))
}

/// Chooses one program to be loaded, with those that prog arrays hold from the start.
pub fn choose(path: &Path, open: &mut Open, name: &str) -> Result<(), Problem> {
    if open.only(name).is_err() {
        return Err(no_program(path, open.object(), name));
    }
    let object = open.object().clone();
    let in_arrays: BTreeSet<FunctionId> = object
        .maps()
        .iter()
        .filter_map(|map| match &map.origin {
            Origin::Defined(elements) => Some(elements),
            _ => None,
        })
        .flatten()
        .filter_map(|(_, element)| match element {
            Element::Program(id) => Some(*id),
            Element::Map(_) => None,
        })
        .collect();
    for plan in open.programs_mut() {
        plan.load |= in_arrays.contains(&plan.id);
    }
    Ok(())
}

/// Chooses several programs to be loaded.
pub fn choose_all(path: &Path, open: &mut Open, names: &[String]) -> Result<(), Problem> {
    for name in names {
        // Each leaves only its own: the others are asked for again below.
        choose(path, open, name)?;
    }
    for plan in open.programs_mut() {
        plan.load |= names.contains(&plan.name);
    }
    Ok(())
}

/// Keeps maps from being pinned or shared: for those who only ask.
pub fn unpin(open: &mut Open) {
    let names: Vec<String> = open.maps().iter().map(|map| map.name.clone()).collect();
    for name in names {
        if let Ok(map) = open.map_mut(&name) {
            map.pin_path = None;
        }
    }
}

/// The functions that a `--program` option means: all, or one with everything that it calls.
pub fn selected(
    path: &Path,
    object: &Object,
    program: Option<&str>,
) -> Result<Vec<FunctionId>, Problem> {
    let ids: Vec<FunctionId> = function_ids(object).collect();
    let Some(name) = program else { return Ok(ids) };
    let start = ids.iter().find(|id| &*object.function(**id).name == name);
    let Some(&start) = start else {
        return Err(no_program(path, object, name));
    };
    let mut seen = BTreeSet::from([start]);
    let mut todo = vec![start];
    while let Some(id) = todo.pop() {
        for callee in object
            .function(id)
            .relocations
            .iter()
            .filter_map(|r| match r.target {
                Target::Call(callee) | Target::FunctionAddress(callee) => Some(callee),
                _ => None,
            })
        {
            if seen.insert(callee) {
                todo.push(callee);
            }
        }
    }
    let rest = seen.into_iter().filter(|id| *id != start);
    Ok([start].into_iter().chain(rest).collect())
}

fn function_ids(object: &Object) -> impl Iterator<Item = FunctionId> {
    object.function_ids().map(|(id, _)| id)
}

/// The error that an object has no program of this name; tells which it has.
pub fn no_program(path: &Path, object: &Object, name: &str) -> Problem {
    let names = object.programs().map(|(_, f)| &*f.name);
    Problem::Asked(format!(
        "{}: no program `{name}`{}",
        path.display(),
        choices(names)
    ))
}

/// `; there are a, b and c`, at most a handful.
pub fn choices<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<&str> = names.collect();
    match &names[..] {
        [] => "; there is none at all".to_owned(),
        [one] => format!("; there is only `{one}`"),
        many if many.len() <= SHOWN => format!("; there are {}", many.join(", ")),
        many => format!(
            "; there are {} and {} more",
            many[..SHOWN].join(", "),
            many.len() - SHOWN
        ),
    }
}

/// Where in a function's code a source line begins, for every slot that begins one.
pub fn line_at(function: &Function, slot: u32) -> Option<&panal_object::Line> {
    function.lines.iter().find(|line| line.slot == slot)
}
