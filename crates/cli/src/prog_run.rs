//! `panal prog run`: one program on given data.

use std::{io::Write, path::Path};

use panal_uapi::kernel::TestRun;
use serde::Serialize;

use crate::{
    DONE,
    args::ProgRun,
    error::Problem,
    kernels, load, map_args, object,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    interpreted: Option<&'a str>,
}

/// Runs the command; the exit code.
pub fn run(arguments: &ProgRun) -> Result<u8, Problem> {
    let [file] = &arguments.object[..] else {
        let text = "prog run: expected one OBJ, or id N, name NAME, tag TAG or pinned PATH";
        return Err(Problem::Asked(text.to_owned()));
    };
    let Some(name) = &arguments.program else {
        let text = format!("{file}: which program is to be run? choose it by --program NAME");
        return Err(Problem::Asked(text));
    };
    let path = Path::new(file);
    let mut open = object::load(path)?;
    object::choose(path, &mut open, name)?;
    object::unpin(&mut open);
    map_args::set_variables(&mut open, &arguments.variables)?;
    let input = |path: &Option<_>| path.as_deref().map_or(Ok(Vec::new()), object::read_file);
    let test = TestRun {
        data_in: input(&arguments.data_in)?,
        ctx_in: input(&arguments.ctx_in)?,
        repeat: arguments.repeat,
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
    let mut out = output::stdout();
    if arguments.json {
        let json = ResultJson {
            file,
            program: name,
            retval: result.retval,
            duration_ns: result.duration_ns,
            repeat: arguments.repeat.max(1),
            steps: result.steps,
            data_out: output::hex(result.data_out.iter().copied()),
            ctx_out: output::hex(result.ctx_out.iter().copied()),
            stopped: result.stopped.as_deref(),
            interpreted: result.interpreted.as_deref(),
        };
        output::json_line(&mut out, &json)?;
    } else {
        let (value, time) = (result.retval, result.duration_ns);
        write!(out, "return value {value} ({value:#x}), {time} ns a run")?;
        match result.steps {
            Some(steps) => writeln!(out, ", {steps} instructions")?,
            None => writeln!(out)?,
        }
        if let Some(why) = &result.stopped {
            writeln!(
                out,
                "{}: {}",
                Painted(BAD, "stopped"),
                crate::text::clean(why)
            )?;
        }
    }
    output::finish(out)?;
    Ok(DONE)
}

fn save(path: Option<&Path>, bytes: &[u8]) -> Result<(), Problem> {
    path.map_or(Ok(()), |path| object::write_file(path, bytes))
}
