//! `dump btf`: the object's types.

use std::io::Write;

use serde::Serialize;

use super::Subject;
use crate::{error::Problem, output, text::clean};

#[derive(Serialize)]
struct TypeJson<'a> {
    id: u32,
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    /// As C declares it.
    c: String,
}

pub fn print(subject: &Subject<'_>, out: &mut impl Write) -> Result<(), Problem> {
    let path = subject.path.display();
    let Some(btf) = subject.object.btf() else {
        let text = format!("{path}: the object has no types (compile it with -g)");
        return Err(Problem::Asked(text));
    };
    if subject.json {
        for (id, ty) in btf.iter().skip(1) {
            let (name, kind) = (&*ty.name, ty.kind.tag().name());
            let json = TypeJson {
                id: id.0,
                kind,
                name,
                size: btf.size_of(id),
                c: btf.declare(id, ""),
            };
            output::json_line(out, &json)?;
        }
        return Ok(());
    }
    // Of one program, the types of its functions; they draw in all that they need.
    let functions = subject
        .functions
        .iter()
        .filter_map(|id| subject.object.function(*id).ty);
    let header = match subject.narrowed {
        true => btf.types_to_c(&functions.collect::<Vec<_>>()),
        false => btf.to_c(),
    };
    let header = header.map_err(|error| Problem::Asked(format!("{path}: {error}")))?;
    for line in header.lines() {
        writeln!(out, "{}", clean(line))?;
    }
    Ok(())
}
