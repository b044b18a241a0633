//! `panal prog run PROG data_in FILE …`: a program that is loaded already.

use std::path::Path;

use panal_uapi::{
    inspect::{ObjectKind, OpenFlags},
    kernel::TestRun,
};

use super::{Answer, Asking, json::Members, words::asked};
use crate::{error::Problem, object};

/// Whether the first words choose a loaded program rather than name an object file.
pub fn is_loaded(words: &[String]) -> bool {
    words.len() > 1 && matches!(words[0].as_str(), "id" | "name" | "tag" | "pinned")
}

pub fn run(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let selector = words.selector(ObjectKind::Program)?;
    let mut test = TestRun {
        repeat: 1,
        ..TestRun::default()
    };
    let (mut data_out, mut ctx_out) = (None, None);
    while let Some(word) = words.peek() {
        if words.take("data_in") {
            test.data_in = object::read_file(Path::new(words.expect("a file")?))?;
        } else if words.take("ctx_in") {
            test.ctx_in = object::read_file(Path::new(words.expect("a file")?))?;
        } else if words.take("data_out") {
            data_out = Some(words.expect("a file")?);
        } else if words.take("ctx_out") {
            ctx_out = Some(words.expect("a file")?);
        } else if words.take("repeat") {
            test.repeat = words.number("repeat")?;
        } else {
            return Err(asked(format!(
                "expected data_in, data_out, ctx_in, ctx_out or repeat, got `{word}`"
            )));
        }
    }
    let places = &asking.places;
    let found = places.one(ObjectKind::Program, &selector, OpenFlags::empty())?;
    let ran = found.place.kernel.prog_test_run(&found.fd, &test);
    let ran = ran.map_err(|failure| found.place.failed(failure))?;
    for (path, bytes) in [(data_out, &ran.data_out), (ctx_out, &ran.ctx_out)] {
        if let Some(path) = path {
            object::write_file(Path::new(path), bytes)?;
        }
    }
    if asking.json {
        let mut json = Members::default();
        json.put("retval", ran.retval)
            .put("duration", ran.duration_ns);
        json.put_some("stopped", ran.stopped);
        return Ok(Answer::Json(json.done()));
    }
    let average = if test.repeat > 1 { " (average)" } else { "" };
    let (value, time) = (ran.retval, ran.duration_ns);
    let stopped = ran
        .stopped
        .map_or_else(String::new, |why| format!("\nstopped: {why}"));
    Ok(Answer::Text(format!(
        "Return value: {value}, duration{average}: {time}ns{stopped}\n"
    )))
}
