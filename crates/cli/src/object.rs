//! Reading objects, and what they hold under the names that users give.

use std::{collections::BTreeSet, fs::File, io::Read, path::Path};

use panal_object::{Function, FunctionId, Object, Target};

use crate::error::Problem;

/// No object of the field comes near; a device or an endless pipe is stopped here.
const LARGEST_FILE: u64 = 1 << 30;

/// Reads a whole file.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Problem> {
    let failed = |error| Problem::file(path, "read", &error);
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LARGEST_FILE {
        let path = path.display().to_string();
        let reason = "larger than 1 GiB".to_owned();
        return Err(Problem::File {
            path,
            action: "read",
            reason,
        });
    }
    Ok(bytes)
}

/// Writes a whole file.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    std::fs::write(path, bytes).map_err(|error| Problem::file(path, "write", &error))
}

/// Reads an object.
pub fn open(path: &Path) -> Result<Object, Problem> {
    let bytes = read_file(path)?;
    Object::parse(&bytes).map_err(|error| Problem::Object {
        path: path.display().to_string(),
        error,
    })
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
