//! `dump relocations`: what instructions refer to outside of their function, and which of them
//! depend on the kernel's types (CO-RE).

use std::io::Write;

use panal_object::{CoreRecord, ExternKind, Function, Object, Target};
use serde::Serialize;

use super::{Subject, listing};
use crate::{
    error::Problem,
    output::{self, HEADING, NAME, Painted},
    types,
};

#[derive(Serialize)]
struct RowJson<'a> {
    function: &'a str,
    slot: u32,
    /// `map`, `data`, `call`, `function_address`, `extern`, `kconfig`, `kfunc` or a CO-RE kind.
    kind: &'static str,
    target: String,
    weak: bool,
}

pub fn print(subject: &Subject<'_>, out: &mut impl Write) -> Result<(), Problem> {
    for &id in &subject.functions {
        let function = subject.object.function(id);
        let rows = rows(subject.object, function);
        if subject.json {
            for row in &rows {
                output::json_line(out, row)?;
            }
            continue;
        }
        if rows.is_empty() {
            continue;
        }
        writeln!(out, "{}", Painted(HEADING, &function.name))?;
        for row in &rows {
            let weak = if row.weak { " (weak)" } else { "" };
            let target = Painted(NAME, &row.target);
            writeln!(out, "{:8}: {:<20} {target}{weak}", row.slot, row.kind)?;
        }
    }
    Ok(())
}

fn rows<'a>(object: &Object, function: &'a Function) -> Vec<RowJson<'a>> {
    let plain = function.relocations.iter().map(|relocation| {
        let (kind, weak) = kind(object, relocation.target);
        let target = listing::target_name(object, relocation.target);
        RowJson {
            function: &function.name,
            slot: relocation.slot,
            kind,
            target,
            weak,
        }
    });
    let core = function.core.iter().map(|record| RowJson {
        function: &function.name,
        slot: record.slot,
        kind: record.relocation.kind.name(),
        target: core_target(object, record),
        weak: false,
    });
    let mut rows: Vec<RowJson<'_>> = plain.chain(core).collect();
    rows.sort_by_key(|row| row.slot);
    rows
}

fn kind(object: &Object, target: Target) -> (&'static str, bool) {
    match target {
        Target::Map(_) => ("map", false),
        Target::Data { .. } => ("data", false),
        Target::Call(_) => ("call", false),
        Target::FunctionAddress(_) => ("function_address", false),
        Target::Kfunc(id) => ("kfunc", object.external(id).weak),
        Target::Extern(id) => {
            let external = object.external(id);
            match external.kind {
                ExternKind::Kconfig { .. } => ("kconfig", external.weak),
                _ => ("extern", external.weak),
            }
        }
    }
}

/// The root type, and for accesses the member that the path leads to.
fn core_target(object: &Object, record: &CoreRecord) -> String {
    let record = &record.relocation;
    let Some(btf) = object.btf() else {
        return record.access.to_string();
    };
    let root = types::name(btf, record.ty);
    match types::member_path(btf, record.ty, &record.access) {
        Some(path) if !path.is_empty() => format!("{root}{path} ({})", record.access),
        _ => format!("{root} ({})", record.access),
    }
}
