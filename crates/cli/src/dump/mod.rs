//! `panal dump`: what an object holds, without loading it.

mod asm;
mod btf;
mod cfg;
mod layout;
mod listing;
mod maps;
mod relocations;
mod svg;

use std::{io::Write, path::Path};

use anstream::StripStream;
use panal_object::{FunctionId, Object};

use crate::{
    args::{Dump, What},
    error::Problem,
    files, object, output,
};

/// What every dump starts from.
struct Subject<'a> {
    path: &'a Path,
    object: &'a Object,
    /// The functions to show.
    functions: Vec<FunctionId>,
    /// Whether one program was asked for.
    narrowed: bool,
    json: bool,
}

/// Runs the command; the exit code.
pub fn run(arguments: &Dump) -> Result<u8, Problem> {
    let object = object::open(&arguments.object)?;
    let functions = object::selected(&arguments.object, &object, arguments.program.as_deref())?;
    if arguments.json && arguments.what == What::Cfg {
        let text = "`dump cfg` prints a picture: --json makes no sense with it";
        return Err(Problem::Asked(text.to_owned()));
    }
    let subject = Subject {
        path: &arguments.object,
        object: &object,
        functions,
        narrowed: arguments.program.is_some(),
        json: arguments.json,
    };
    match &arguments.output {
        None => {
            let mut out = output::stdout();
            print(arguments.what, &subject, &mut out)?;
            output::finish(out)?;
        }
        Some(path) => {
            let mut bytes = StripStream::new(Vec::new());
            print(arguments.what, &subject, &mut bytes)?;
            files::write_file(path, &bytes.into_inner())?;
        }
    }
    Ok(crate::DONE)
}

fn print(what: What, subject: &Subject<'_>, out: &mut impl Write) -> Result<(), Problem> {
    match what {
        What::Asm => asm::print(subject, out),
        What::Cfg => cfg::print(subject, out),
        What::Btf => btf::print(subject, out),
        What::Maps => maps::print(subject, out),
        What::Relocations => relocations::print(subject, out),
    }
}

/// What a function is, in a word.
fn role(function: &panal_object::Function) -> &'static str {
    match (function.role, function.global) {
        (panal_object::Role::Program, _) => "program",
        (panal_object::Role::Subprogram, true) => "global subprogram",
        (panal_object::Role::Subprogram, false) => "subprogram",
    }
}
