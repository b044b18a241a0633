//! `dump asm`: instructions with the source lines that they come from.

use std::io::Write;

use serde::Serialize;

use super::{Subject, listing};
use crate::{
    error::Problem,
    output::{self, HEADING, NAME, Painted, QUIET},
};

pub fn print(subject: &Subject<'_>, out: &mut impl Write) -> Result<(), Problem> {
    if subject.json {
        return print_json(subject, out);
    }
    for (index, &id) in subject.functions.iter().enumerate() {
        let function = subject.object.function(id);
        let listing = listing::read(subject, function)?;
        if index > 0 {
            writeln!(out)?;
        }
        let count = function.code.len();
        let place = format!(
            "({}, section {}, {count} slots)",
            super::role(function),
            function.section
        );
        writeln!(
            out,
            "{} {}",
            Painted(HEADING, &function.name),
            Painted(QUIET, place)
        )?;
        let mut lines = listing::Lines::default();
        for row in &listing.rows {
            if let Some(line) = lines.change(row) {
                let text = format!("; {}  @ {}:{}", line.text.trim(), line.file, line.line);
                writeln!(out, "{}", Painted(QUIET, text))?;
            }
            if listing.targets.contains(&row.slot) {
                writeln!(out, "{}", Painted(NAME, format_args!("L{}:", row.slot)))?;
            }
            write!(out, "{:8}: {}", row.slot, row.text)?;
            if let Some(target) = row.target {
                write!(out, " {}", Painted(NAME, format_args!("<L{target}>")))?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct FunctionJson<'a> {
    function: &'a str,
    section: &'a str,
    role: &'a str,
    slots: usize,
    instructions: Vec<RowJson<'a>>,
}

#[derive(Serialize)]
struct RowJson<'a> {
    slot: usize,
    bytes: String,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceJson<'a>>,
}

#[derive(Serialize)]
struct SourceJson<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    text: &'a str,
}

fn print_json(subject: &Subject<'_>, out: &mut impl Write) -> Result<(), Problem> {
    for &id in &subject.functions {
        let function = subject.object.function(id);
        let listing = listing::read(subject, function)?;
        let instructions = listing
            .rows
            .iter()
            .map(|row| {
                let slots = row.slot..listing.code.next(row.slot);
                let bytes = listing.code.slots().get(slots).unwrap_or(&[]);
                RowJson {
                    slot: row.slot,
                    bytes: output::hex(bytes.iter().flat_map(|slot| slot.to_bytes())),
                    text: &row.text,
                    target: row.target,
                    source: row.line.map(|line| SourceJson {
                        file: &line.file,
                        line: line.line,
                        column: line.column,
                        text: &line.text,
                    }),
                }
            })
            .collect();
        let function = FunctionJson {
            function: &function.name,
            section: &function.section,
            role: super::role(function),
            slots: function.code.len(),
            instructions,
        };
        output::json_line(out, &function)?;
    }
    Ok(())
}
