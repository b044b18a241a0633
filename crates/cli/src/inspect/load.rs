//! `panal prog load|loadall OBJ PATH`

use std::path::Path;

use panal_loader::ProgramPlan;
use panal_uapi::{
    inspect::{ObjectKind, OpenFlags},
    kernel::Fd,
    section::Section,
};

use super::{Answer, Asking, places::Place, words::asked};
use crate::{error::Problem, load, object};

/// Loads an object and pins its first program at a path, or with `all` every program below it.
pub fn load(asking: &Asking<'_>, all: bool) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let file = words.expect("the object file")?;
    let path = super::absolute(words.expect("the path to pin at")?);
    let path = path.trim_end_matches('/');
    let place = asking.places.only()?;
    let mut open = object::load(Path::new(file))?;
    let mut pin_maps = None;
    while let Some(word) = words.peek() {
        if words.take("type") {
            set_type(&mut open, words.expect("a section name")?)?;
        } else if words.take("map") {
            let name = if words.take("idx") {
                let index = words.number("the map's number")? as usize;
                open.maps().get(index).map(|map| map.name.clone())
            } else if words.take("name") {
                Some(words.expect("the map's name")?.to_owned())
            } else {
                return Err(asked("map: expected idx N or name NAME"));
            };
            let selector = words.selector(ObjectKind::Map)?;
            let found = asking
                .places
                .one(ObjectKind::Map, &selector, OpenFlags::empty())?;
            let wrong = || asked(format!("{file}: the object has no such map"));
            let name = name.ok_or_else(wrong)?;
            open.map_mut(&name)
                .map_err(|e| load::problem(file, e))?
                .reuse = Some(found.fd);
        } else if words.take("pinmaps") {
            pin_maps = Some(super::absolute(words.expect("a directory")?));
        } else {
            return Err(asked(format!(
                "expected type, map or pinmaps, got `{word}`"
            )));
        }
    }
    if let Some(why) = nothing_to_load(open.programs()) {
        return Err(asked(format!("{file}: {why}")));
    }
    let loaded = load::load(open, &*place.kernel, file, asking.json)?;
    let mut pins = Pins {
        place,
        done: Vec::new(),
    };
    let programs = loaded.programs();
    let count = if all { programs.len() } else { 1 };
    if all {
        pins.directory(path)?;
    }
    for program in &programs[..count] {
        let own = format!("{path}/{}", program.plan.name);
        pins.pin(&program.fd, if all { &own } else { path })?;
    }
    if let Some(directory) = pin_maps {
        let directory = directory.trim_end_matches('/');
        pins.directory(directory)?;
        for map in loaded.maps() {
            // By the kernel's name, which for global data has the object's in front.
            let info = place
                .kernel
                .map_info(&map.fd)
                .map_err(|f| place.failed(f))?;
            let own = match map.plan.name.starts_with('.') {
                true => &info.name,
                false => &map.plan.name,
            };
            let name = own.replace('.', "_");
            pins.pin(&map.fd, &format!("{directory}/{name}"))?;
        }
    }
    pins.done.clear();
    Ok(asking.nothing())
}

/// Why an object has no program to load.
fn nothing_to_load(programs: &[ProgramPlan]) -> Option<String> {
    if programs.iter().any(|plan| plan.load) {
        return None;
    }
    Some(match programs.len() {
        0 => "the object has no programs".to_owned(),
        1 => "its only program is off by default (section `?…`)".to_owned(),
        count => format!("all {count} programs are off by default (sections `?…`)"),
    })
}

fn set_type(open: &mut panal_loader::Open, name: &str) -> Result<(), Problem> {
    let section = Section::parse(name);
    let section = section.map_err(|e| asked(format!("type {name}: {e}")))?;
    for plan in open.programs_mut() {
        plan.load = true;
        plan.prog_type = Some(section.prog_type);
        plan.attach_type = section.attach_type;
        plan.section_fault = None;
    }
    Ok(())
}

/// What was pinned so far: taken back unless all went well.
struct Pins<'p> {
    place: &'p Place,
    done: Vec<String>,
}

impl Pins<'_> {
    fn pin(&mut self, fd: &Fd, path: &str) -> Result<(), Problem> {
        let pinned = self.place.kernel.pin(fd, path);
        pinned.map_err(|failure| self.place.failed(failure))?;
        self.done.push(path.to_owned());
        Ok(())
    }

    /// Linux wants directories to be there; Panal's pins need none.
    fn directory(&self, path: &str) -> Result<(), Problem> {
        if self.place.instance.is_some() {
            return Ok(());
        }
        if let Some(why) = panal_linux::no_place_for_pins(path) {
            return Err(asked(why));
        }
        std::fs::create_dir_all(path)
            .map_err(|error| Problem::file(Path::new(path), "make directory", &error))
    }
}

impl Drop for Pins<'_> {
    fn drop(&mut self) {
        for path in &self.done {
            let _ = self.place.kernel.unpin(path);
        }
    }
}
