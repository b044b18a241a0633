//! Where the programs of an object go on Linux: what their sections say, and the arguments.

use std::io::Write;

use panal_loader::{Error, LoadedProgram, Placement, Sampling};
use panal_object::{Element, Origin};
use panal_uapi::{
    AttachType, ProgType,
    kernel::{Fd, IteratorOver},
};
use serde_json::json;

use super::{Named, Running};
use crate::{
    args::{IterateArg, Run},
    error::Problem,
    load,
    output::{self, HEADING, Painted},
};

/// Attached programs.
pub struct Attached {
    /// Those that wait for events.
    pub links: Vec<Fd>,
    /// Iterators, which are read at the end, by their programs' names.
    pub iterators: Vec<(String, Fd)>,
}

/// `BPF_CGROUP_ITER_DESCENDANTS_PRE`: a cgroup before those below it.
const DESCENDANTS_PRE: u32 = 2;

/// Attaches every loaded program: to what its section names, or to what was named for its kind.
/// `command` is the process that will run.
pub fn attach(
    running: &Running<'_>,
    arguments: &Run,
    command: Option<u32>,
    named: &mut Named,
) -> Result<Attached, Problem> {
    let mut attached = Attached {
        links: Vec::new(),
        iterators: Vec::new(),
    };
    let placement = placement(running, arguments, command)?;
    for program in running.loaded.programs() {
        match running.loaded.attach_at(program, &placement) {
            Ok(link) if program.plan.attach_type == Some(AttachType::TraceIter) => {
                attached.iterators.push((program.plan.name.clone(), link));
            }
            Err(Error::Unattached { .. }) if is_called(running, program) => {}
            Err(Error::Unattached { .. })
                if program.plan.prog_type == Some(ProgType::StructOps) => {}
            Err(Error::Unattached { .. }) if program.plan.prog_type == Some(ProgType::Syscall) => {
                output::note(&format_args!(
                    "program {} is not attached but run: panal prog run",
                    program.plan.name
                ));
            }
            Err(Error::Unattached { .. }) => {
                attached.links.extend(named.attach(running, program)?);
            }
            Ok(link) => {
                named.is_not_all();
                attached.links.push(link);
            }
            Err(error) => return Err(load::problem(&running.file, error)),
        }
    }
    for map in running.loaded.struct_ops() {
        let registered = running.loaded.register(map);
        let registered = registered.map_err(|error| load::problem(&running.file, error))?;
        named.is_not_all();
        attached.links.push(registered);
    }
    Ok(attached)
}

/// What the arguments say of places.
fn placement(
    running: &Running<'_>,
    arguments: &Run,
    command: Option<u32>,
) -> Result<Placement, Problem> {
    let sampled = match arguments.system_wide {
        true => None,
        false => command.or(arguments.pid),
    };
    let sample = arguments.sample.unwrap_or_default();
    let iterate = match (&arguments.iterate, arguments.pid) {
        (Some(IterateArg::Map(name)), _) => {
            let map = running.loaded.map(name);
            let map = map.map_err(|error| load::problem(&running.file, error))?;
            Some(IteratorOver::Map(map.fd.number()))
        }
        (Some(IterateArg::Cgroup(path)), _) => Some(IteratorOver::Cgroup {
            path: path.clone(),
            order: DESCENDANTS_PRE,
        }),
        (None, Some(pid)) => Some(IteratorOver::Process(pid)),
        (None, None) => None,
    };
    Ok(Placement {
        pid: arguments.pid,
        sampling: Some(Sampling {
            event: sample.event,
            rate: sample.rate,
            pid: sampled,
        }),
        iterate,
    })
}

/// Whether a program is reached by tail calls.
fn is_called(running: &Running<'_>, program: &LoadedProgram) -> bool {
    let object = running.loaded.object();
    object.maps().iter().any(|map| match &map.origin {
        Origin::Defined(elements) => {
            let element = Element::Program(program.plan.id);
            elements.iter().any(|(_, found)| *found == element)
        }
        _ => false,
    })
}

/// Prints what iterators write.
pub fn iterate(running: &mut Running<'_>, iterators: &[(String, Fd)]) -> Result<(), Problem> {
    for (name, link) in iterators {
        let mut text = Vec::new();
        let kernel = running.loaded.kernel();
        kernel
            .iterate(link, &mut |bytes| text.extend_from_slice(bytes))
            .map_err(|failure| Problem::Asked(format!("iterator {name}: {failure}")))?;
        let text = String::from_utf8_lossy(&text);
        if running.events.is_json() {
            writeln!(running.out, "{}", json!({"iterator": name, "text": text}))?;
            continue;
        }
        if iterators.len() > 1 {
            writeln!(running.out, "{}", Painted(HEADING, name))?;
        }
        for line in text.lines() {
            writeln!(running.out, "{}", crate::text::clean(line))?;
        }
    }
    Ok(())
}
