//! `panal prog run PROG data_in FILE …`: a program that is loaded already.

use std::path::Path;

use panal_uapi::{
    inspect::{ObjectKind, OpenFlags},
    kernel::TestRun,
};

use super::{
    Answer, Asking,
    json::{Json, Members},
    words::asked,
};
use crate::{error::Problem, files};

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
    let mut inputs_of_standard = 0;
    while let Some(word) = words.peek() {
        if words.take("data_in") {
            let file = Path::new(words.expect("a file")?);
            inputs_of_standard += usize::from(files::is_standard(Some(file)));
            test.data_in = files::read_input(file)?;
        } else if words.take("ctx_in") {
            let file = Path::new(words.expect("a file")?);
            inputs_of_standard += usize::from(files::is_standard(Some(file)));
            if inputs_of_standard > 1 {
                return Err(asked("data_in and ctx_in cannot both be standard input"));
            }
            test.ctx_in = files::read_input(file)?;
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
    let (mut json, mut text) = (Members::default(), String::new());
    for (name, path, bytes) in [
        ("data_out", data_out, &ran.data_out),
        ("ctx_out", ctx_out, &ran.ctx_out),
    ] {
        match path.map(Path::new) {
            None => {}
            path if files::is_standard(path) => {
                json.put(name, bytes.iter().copied().collect::<Json>());
                text.push_str(&dumped(bytes));
            }
            Some(path) => files::write_file(path, bytes)?,
        }
    }
    if asking.json {
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
        "{text}Return value: {value}, duration{average}: {time}ns{stopped}\n"
    )))
}

/// Bytes as bpftool prints them: 16 a line in pairs, then as text.
fn dumped(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    const LINE: usize = 16;
    let mut out = String::new();
    for (line, at) in bytes.chunks(LINE).zip((0..).step_by(LINE)) {
        let _ = write!(out, "{at:07x}\t");
        for place in 0..LINE {
            match line.get(place) {
                Some(byte) => _ = write!(out, "{byte:02x}"),
                None => out.push_str("  "),
            }
            if place % 2 == 1 {
                out.push(' ');
            }
        }
        out.push_str("| ");
        for (place, byte) in line.iter().enumerate() {
            let shown = if byte.is_ascii_graphic() || *byte == b' ' {
                char::from(*byte)
            } else {
                '.'
            };
            if place == LINE / 2 {
                out.push(' ');
            }
            out.push(shown);
        }
        out.push('\n');
    }
    out
}
