//! Reading objects, and what they hold under the names that users give.

use std::{collections::BTreeSet, path::Path};

use panal_loader::Open;
use panal_object::{Element, Function, FunctionId, Object, Origin, Target};

use crate::{error::Problem, files};

/// Reads an object.
pub fn open(path: &Path) -> Result<Object, Problem> {
    parse(path, &files::read_file(path)?)
}

/// An object from what its file holds.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Object, Problem> {
    Object::parse(bytes).map_err(|error| Problem::Object {
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
