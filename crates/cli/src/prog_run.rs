//! `panal prog run`: one program on given data.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use panal_loader::Open;
use panal_uapi::kernel::{TestRun, TestRunResult};
use serde::Serialize;

use crate::{
    DONE,
    args::ProgRun,
    error::Problem,
    files, kernels, load, map_args, object,
    output::{self, BAD, Painted},
};

#[derive(Serialize)]
struct ResultJson<'a> {
    file: &'a str,
    program: &'a str,
    retval: u32,
    /// Of one run, on average.
    duration_ns: u64,
    repeat: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u64>,
    data_out: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ctx_out: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<&'a str>,
    /// What ran the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<&'a str>,
    /// Why it was the interpreter, where machine code was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    interpreted: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_optimised: Option<&'a str>,
}

/// The object's program, if it has but one.
fn only_program(open: &Open, file: &str) -> Result<String, Problem> {
    let names: Vec<&str> = open.programs().iter().map(|p| p.name.as_str()).collect();
    match names[..] {
        [name] => Ok(name.to_owned()),
        [] => Err(Problem::Asked(format!(
            "{file}: the object has no programs"
        ))),
        _ => Err(Problem::Asked(format!(
            "{file}: which program is to be run? choose it by --program NAME: {}",
            names.join(", ")
        ))),
    }
}

/// Runs the command; the exit code.
pub fn run(arguments: &ProgRun) -> Result<u8, Problem> {
    let [file] = &arguments.object[..] else {
        let text = "prog run: expected one OBJ, or id N, name NAME, tag TAG or pinned PATH";
        return Err(Problem::Asked(text.to_owned()));
    };
    if arguments.instance.is_some() {
        let text = "--instance chooses where a loaded program is looked for: an object is run here";
        return Err(Problem::Asked(text.to_owned()));
    }
    let streams = Streams::of(arguments)?;
    let path = Path::new(file);
    let mut open = object::load(path)?;
    let name = &match &arguments.program {
        Some(name) => name.clone(),
        None => only_program(&open, file)?,
    };
    object::choose(path, &mut open, name)?;
    object::unpin(&mut open);
    map_args::set_variables(&mut open, &arguments.variables)?;
    let input = |path: &Option<_>| path.as_deref().map_or(Ok(Vec::new()), files::read_input);
    let test = TestRun {
        data_in: input(&arguments.data_in)?,
        ctx_in: input(&arguments.ctx_in)?,
        repeat: arguments.repeat.unwrap_or(1),
        ..TestRun::default()
    };
    let kernel = kernels::open(arguments.kernel, arguments.execution)?;
    let loaded = load::load(open, kernel.as_ref(), file, arguments.json)?;
    map_args::apply(&loaded, &arguments.maps)?;
    let program = loaded.program(name).map_err(|e| load::problem(file, e))?;
    let result = kernel
        .prog_test_run(&program.fd, &test)
        .map_err(|failure| Problem::Asked(format!("{file}: running {name}: {failure}")))?;
    save(arguments.data_out.as_deref(), &result.data_out)?;
    save(arguments.ctx_out.as_deref(), &result.ctx_out)?;
    if let Some(why) = &result.interpreted {
        output::note(&format_args!("{name} is interpreted: {why}"));
    }
    if let Some(why) = &result.not_optimised {
        output::note(&format_args!("{name} is not optimised: {why}"));
    }
    if streams.taken {
        print(&mut anstream::stderr(), &result)?;
        return Ok(DONE);
    }
    let mut out = output::stdout();
    if arguments.json {
        let json = ResultJson {
            file,
            program: name,
            retval: result.retval,
            duration_ns: result.duration_ns,
            repeat: test.repeat.max(1),
            steps: result.steps,
            data_out: output::hex(result.data_out.iter().copied()),
            ctx_out: output::hex(result.ctx_out.iter().copied()),
            stopped: result.stopped.as_deref(),
            engine: result.engine.as_deref(),
            interpreted: result.interpreted.as_deref(),
            not_optimised: result.not_optimised.as_deref(),
        };
        output::json_line(&mut out, &json)?;
    } else {
        print(&mut out, &result)?;
    }
    output::finish(out)?;
    Ok(DONE)
}

/// The result for people.
fn print(out: &mut impl Write, result: &TestRunResult) -> Result<(), Problem> {
    let (value, time) = (result.retval, result.duration_ns);
    write!(out, "return value {value} ({value:#x}), {time} ns a run")?;
    if let Some(engine) = &result.engine {
        write!(out, " by {engine}")?;
    }
    match result.steps {
        Some(steps) => writeln!(out, ", {steps} instructions")?,
        None => writeln!(out)?,
    }
    if let Some(why) = &result.stopped {
        let stopped = Painted(BAD, "stopped");
        writeln!(out, "{stopped}: {}", crate::text::clean(why))?;
    }
    Ok(())
}

/// What of standard input and output stands for files.
struct Streams {
    /// Data goes to standard output, so the result does not.
    taken: bool,
}

impl Streams {
    fn of(arguments: &ProgRun) -> Result<Streams, Problem> {
        let both = |one: &Option<PathBuf>, other: &Option<PathBuf>| {
            [one, other]
                .iter()
                .all(|path| files::is_standard(path.as_deref()))
        };
        let asked = |text: &str| Err(Problem::Asked(text.to_owned()));
        if both(&arguments.data_in, &arguments.ctx_in) {
            return asked("--data-in and --ctx-in cannot both be standard input");
        }
        if both(&arguments.data_out, &arguments.ctx_out) {
            return asked("--data-out and --ctx-out cannot both be standard output");
        }
        let taken = [&arguments.data_out, &arguments.ctx_out]
            .iter()
            .any(|path| files::is_standard(path.as_deref()));
        if taken && arguments.json {
            return asked("with --json, standard output has the data already: leave `-` off");
        }
        Ok(Streams { taken })
    }
}

fn save(path: Option<&Path>, bytes: &[u8]) -> Result<(), Problem> {
    match path {
        None => Ok(()),
        path if files::is_standard(path) => output::write_bytes(bytes),
        Some(path) => files::write_file(path, bytes),
    }
}
