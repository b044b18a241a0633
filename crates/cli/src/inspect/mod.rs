//! `panal prog|map|link|btf`: what a kernel holds, in bpftool's forms.
//!
//! A command asks one or several kernels ([`places`]) through [`panal_uapi::inspect::Inspect`] and
//! prints what bpftool prints: text for people, or JSON with bpftool's keys.

mod btf;
mod elements;
mod json;
mod link;
mod load;
mod map;
mod map_create;
mod owners;
mod places;
mod prog;
mod run;
mod value;
mod words;
mod xlated;

use std::io::Write;

use panal_uapi::inspect::{ObjectKind, OpenFlags};

use crate::{
    DONE,
    args::{BtfCommand, LinkCommand, MapCommand, Objects, ProgCommand},
    error::Problem,
    output,
};
use json::{Json, Members};
use owners::Owners;
use places::{Found, Places};
use words::Words;

/// What a command prints: one JSON value, or lines.
pub enum Answer {
    Json(Json),
    Text(String),
}

/// A command with its kernels.
pub struct Asking<'a> {
    pub objects: &'a Objects,
    pub places: Places,
    pub json: bool,
}

impl<'a> Asking<'a> {
    fn new(objects: &'a Objects) -> Result<Self, Problem> {
        Ok(Asking {
            objects,
            places: Places::open(&objects.place)?,
            json: objects.format.json(),
        })
    }

    pub fn words(&self) -> Words<'a> {
        Words::new(&self.objects.words)
    }

    /// What a `show` is about: the objects that its words select, or all; and whether it had any.
    fn chosen(
        &self,
        kind: ObjectKind,
        access: OpenFlags,
    ) -> Result<(Vec<Found<'_>>, bool), Problem> {
        let mut words = self.words();
        if words.is_empty() {
            return Ok((self.places.all(kind)?, false));
        }
        let selector = words.selector(kind)?;
        words.end()?;
        Ok((self.places.find(kind, &selector, access)?, true))
    }

    /// `null` or nothing: done.
    pub fn nothing(&self) -> Answer {
        match self.json {
            true => Answer::Json(Json::Null),
            false => Answer::Text(String::new()),
        }
    }
}

/// Runs `panal prog`.
pub fn prog(command: &ProgCommand) -> Result<u8, Problem> {
    match command {
        ProgCommand::Run(arguments) if run::is_loaded(&arguments.object) => {
            match arguments.only_of_objects() {
                Some(option) => Err(words::asked(format!(
                    "{option} has no effect on a program that is loaded already: it is for an OBJ"
                ))),
                None => answer(&arguments.as_objects(), run::run),
            }
        }
        ProgCommand::Run(arguments) => crate::prog_run::run(arguments),
        ProgCommand::Show(objects) => answer(objects, prog::show),
        ProgCommand::Dump(objects) => answer(objects, xlated::dump),
        ProgCommand::Load(objects) => answer(objects, |asking| load::load(asking, false)),
        ProgCommand::Loadall(objects) => answer(objects, |asking| load::load(asking, true)),
        ProgCommand::Pin(objects) => answer(objects, |asking| pin(asking, ObjectKind::Program)),
        ProgCommand::Unpin(objects) => answer(objects, |asking| unpin(asking, ObjectKind::Program)),
    }
}

/// Runs `panal map`.
pub fn map(command: &MapCommand) -> Result<u8, Problem> {
    match command {
        MapCommand::Show(objects) => answer(objects, map::show),
        MapCommand::Create(objects) => answer(objects, map_create::create),
        MapCommand::Dump(objects) => answer(objects, map::dump),
        MapCommand::Lookup(objects) => answer(objects, map::lookup),
        MapCommand::Update(objects) => answer(objects, map::update),
        MapCommand::Delete(objects) => answer(objects, map::delete),
        MapCommand::Getnext(objects) => answer(objects, map::getnext),
        MapCommand::Peek(objects) => answer(objects, map::peek),
        MapCommand::Push(objects) | MapCommand::Enqueue(objects) => answer(objects, map::push),
        MapCommand::Pop(objects) | MapCommand::Dequeue(objects) => answer(objects, map::pop),
        MapCommand::Freeze(objects) => answer(objects, map::freeze),
        MapCommand::Pin(objects) => answer(objects, |asking| pin(asking, ObjectKind::Map)),
        MapCommand::Unpin(objects) => answer(objects, |asking| unpin(asking, ObjectKind::Map)),
    }
}

/// Runs `panal link`.
pub fn link(command: &LinkCommand) -> Result<u8, Problem> {
    match command {
        LinkCommand::Show(objects) => answer(objects, link::show),
        LinkCommand::Detach(objects) => answer(objects, link::detach),
        LinkCommand::Pin(objects) => answer(objects, |asking| pin(asking, ObjectKind::Link)),
        LinkCommand::Unpin(objects) => answer(objects, |asking| unpin(asking, ObjectKind::Link)),
    }
}

/// Runs `panal btf`.
pub fn btf(command: &BtfCommand) -> Result<u8, Problem> {
    match command {
        BtfCommand::Show(objects) => answer(objects, btf::show),
        BtfCommand::Dump(objects) => btf::dump(objects),
    }
}

/// Prints what a command answers; in JSON, also why it failed, as bpftool does.
fn answer(
    objects: &Objects,
    command: impl FnOnce(&Asking<'_>) -> Result<Answer, Problem>,
) -> Result<u8, Problem> {
    let result = Asking::new(objects).and_then(|asking| command(&asking));
    match result {
        Ok(answer) => {
            print(objects, &answer)?;
            Ok(DONE)
        }
        Err(Problem::Reported(code)) => Err(Problem::Reported(code)),
        Err(problem) => {
            if objects.format.json() {
                let mut error = Members::default();
                error.put("error", problem.to_string());
                print(objects, &Answer::Json(error.done()))?;
                return Err(Problem::Reported(crate::COULD_NOT_TRY));
            }
            Err(problem)
        }
    }
}

pub(crate) fn print(objects: &Objects, answer: &Answer) -> Result<(), Problem> {
    let mut out = output::stdout();
    match answer {
        Answer::Text(text) => {
            for line in text.lines() {
                writeln!(out, "{}", crate::text::clean(line))?;
            }
        }
        Answer::Json(json) if objects.format.pretty => {
            let text = serde_json::to_string_pretty(json);
            let text = text.map_err(|e| Problem::Output(e.to_string()))?;
            writeln!(out, "{text}")?;
        }
        Answer::Json(json) => output::json_line(&mut out, json)?,
    }
    output::finish(out)
}

/// What all lists say of an object beside its own: pins, processes, the instance.
pub struct Surroundings {
    owners: Owners,
    pins: Vec<(Option<u32>, panal_uapi::inspect::Pin)>,
    show_pins: bool,
}

impl Surroundings {
    pub fn of(asking: &Asking<'_>) -> Result<Surroundings, Problem> {
        let linux = asking.places.0.iter().any(|place| place.instance.is_none());
        let show_pins = asking.objects.bpffs;
        let mut pins = Vec::new();
        for place in asking.places.0.iter().filter(|_| show_pins) {
            let own = place.listed(place.kernel.pins())?;
            pins.extend(own.into_iter().flatten().map(|pin| (place.instance, pin)));
        }
        Ok(Surroundings {
            owners: if linux {
                Owners::read()
            } else {
                Owners::default()
            },
            pins,
            show_pins,
        })
    }

    fn pinned(&self, found: &Found<'_>, kind: ObjectKind, id: u32) -> Vec<&str> {
        let own = |(instance, pin): &&(Option<u32>, panal_uapi::inspect::Pin)| {
            *instance == found.place.instance && pin.kind == kind && pin.id == id
        };
        let pins = self.pins.iter().filter(own);
        pins.map(|(_, pin)| pin.path.as_str()).collect()
    }

    /// Adds `pinned`, `pids` and `instance`.
    pub fn json(&self, found: &Found<'_>, kind: ObjectKind, id: u32, out: &mut Members) {
        if self.show_pins && kind != ObjectKind::Btf {
            let paths = self.pinned(found, kind, id);
            out.put("pinned", paths.into_iter().collect::<Json>());
        }
        let owners = self.owners.of(kind, id);
        if !owners.is_empty() {
            let list = owners.iter().map(|owner| {
                let mut one = Members::default();
                one.put("pid", owner.pid).put("comm", owner.comm.as_str());
                one.done()
            });
            out.put("pids", list.collect::<Json>());
        }
        out.put_some("instance", found.place.instance);
    }

    /// The same as lines, each with a tab in front.
    pub fn text(&self, found: &Found<'_>, kind: ObjectKind, id: u32, out: &mut String) {
        for path in self.pinned(found, kind, id) {
            out.push_str(&format!("\n\tpinned {path}"));
        }
        let owners = self.owners.of(kind, id);
        if !owners.is_empty() {
            let list = owners.iter().map(|o| format!("{}({})", o.comm, o.pid));
            let list: Vec<String> = list.collect();
            out.push_str(&format!("\n\tpids {}", list.join(", ")));
        }
        if let Some(pid) = found.place.instance {
            out.push_str(&format!("\n\tinstance {pid}"));
        }
    }
}

/// The path of a pin, as the current directory completes it: an instance of Panal's kernel has one
/// of its own.
pub fn absolute(path: &str) -> String {
    let completed = std::path::absolute(path);
    completed.map_or_else(|_| path.to_owned(), |path| path.display().to_string())
}

/// `pin OBJECT PATH`
fn pin(asking: &Asking<'_>, kind: ObjectKind) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let selector = words.selector(kind)?;
    let path = absolute(words.expect("the path to pin at")?);
    words.end()?;
    let found = asking.places.one(kind, &selector, Default::default())?;
    let kernel = &found.place.kernel;
    kernel
        .pin(&found.fd, &path)
        .map_err(|failure| found.place.failed(failure))?;
    Ok(asking.nothing())
}

/// `unpin PATH`
fn unpin(asking: &Asking<'_>, kind: ObjectKind) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let path = absolute(words.expect("the path of the pin")?);
    words.end()?;
    let selector = words::Selector::Pinned(path.clone());
    let found = asking.places.one(kind, &selector, Default::default())?;
    let kernel = &found.place.kernel;
    kernel
        .unpin(&path)
        .map_err(|failure| found.place.failed(failure))?;
    Ok(asking.nothing())
}

/// What a `show` says of one object, without what surrounds it.
enum Said {
    Json(Members),
    /// Lines, and what comes after the surroundings' own.
    Text(String, String),
}

/// `show`: what `say` has of each object that the words select, or of all; `None` where an object's
/// kernel has ended meanwhile.
fn show<'a>(
    asking: &'a Asking<'_>,
    kind: ObjectKind,
    access: OpenFlags,
    say: impl Fn(&Found<'a>) -> Result<Option<(u32, Said)>, Problem>,
) -> Result<Answer, Problem> {
    let (found, selected) = asking.chosen(kind, access)?;
    let around = Surroundings::of(asking)?;
    let mut objects = Vec::new();
    let mut text = String::new();
    for one in &found {
        match say(one)? {
            None => {}
            Some((id, Said::Json(mut json))) => {
                around.json(one, kind, id, &mut json);
                objects.push(json.done());
            }
            Some((id, Said::Text(lines, last))) => {
                text.push_str(&lines);
                around.text(one, kind, id, &mut text);
                text.push_str(&last);
                text.push('\n');
            }
        }
    }
    // Of types bpftool makes a list even for one.
    let alone = selected && objects.len() == 1 && kind != ObjectKind::Btf;
    Ok(match asking.json {
        true if alone => Answer::Json(objects.remove(0)),
        true => Answer::Json(Json::List(objects)),
        false => Answer::Text(text),
    })
}
