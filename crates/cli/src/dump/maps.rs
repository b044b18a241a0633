//! `dump maps`: every map that the object defines, data sections included.

use std::io::Write;

use panal_btf::{Kind, TypeId};
use panal_object::{Element, Map, MapDefinition, MapId, Object, Origin, Pinning, Target};
use panal_uapi::MapType;
use serde::Serialize;

use super::Subject;
use crate::{
    error::Problem,
    output::{self, NAME, Painted, QUIET},
    types,
};

#[derive(Serialize)]
struct MapJson<'a> {
    name: &'a str,
    section: &'a str,
    #[serde(flatten)]
    definition: DefinitionJson,
    pinned_by_name: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    variables: Vec<VariableJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    elements: Vec<ElementJson<'a>>,
}

#[derive(Serialize)]
struct DefinitionJson {
    r#type: String,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    map_extra: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inner: Option<Box<DefinitionJson>>,
}

#[derive(Serialize)]
struct VariableJson<'a> {
    name: &'a str,
    offset: u32,
    size: u32,
    r#type: String,
}

#[derive(Serialize)]
struct ElementJson<'a> {
    key: u32,
    /// `map` or `program`.
    kind: &'static str,
    name: &'a str,
}

pub fn print(subject: &Subject<'_>, out: &mut impl Write) -> Result<(), Problem> {
    for (id, map) in subject.object.map_ids() {
        if subject.narrowed && !is_used(subject, id) {
            continue;
        }
        let map = describe(subject.object, map);
        if subject.json {
            output::json_line(out, &map)?
        } else {
            print_text(&map, out)?
        }
    }
    Ok(())
}

/// Whether one of the functions to show refers to the map.
fn is_used(subject: &Subject<'_>, wanted: MapId) -> bool {
    subject
        .functions
        .iter()
        .flat_map(|id| &subject.object.function(*id).relocations)
        .any(|r| match r.target {
            Target::Map(map) | Target::Data { map, .. } => map == wanted,
            _ => false,
        })
}

/// The type's name as bpftool prints it, or its number.
pub fn type_name(number: u32) -> String {
    match MapType::from_number(number) {
        Some(known) => known.short_name().to_owned(),
        None => number.to_string(),
    }
}

fn describe<'a>(object: &'a Object, map: &'a Map) -> MapJson<'a> {
    let named = |ty: TypeId| {
        object
            .btf()
            .map_or_else(String::new, |btf| types::name(btf, ty))
    };
    let mut elements = Vec::new();
    let mut variables = Vec::new();
    match &map.origin {
        Origin::Defined(list) => elements.extend(list.iter().map(|(key, element)| match element {
            Element::Map(id) => ElementJson {
                key: *key,
                kind: "map",
                name: &object.map(*id).name,
            },
            Element::Program(id) => ElementJson {
                key: *key,
                kind: "program",
                name: &object.function(*id).name,
            },
        })),
        Origin::Data(data) | Origin::Arena(data) => {
            variables.extend(data.variables.iter().map(|v| VariableJson {
                name: &v.name,
                offset: v.offset,
                size: v.size,
                r#type: named(v.ty),
            }))
        }
        Origin::StructOps(ops) => {
            elements.extend(ops.programs.iter().map(|(offset, id)| ElementJson {
                key: *offset,
                kind: "program",
                name: &object.function(*id).name,
            }));
        }
        Origin::Legacy | Origin::Kconfig { .. } => {}
    }
    MapJson {
        name: &map.name,
        section: &map.section,
        definition: define(&map.definition, &|ty| said(object, ty)),
        pinned_by_name: map.definition.pinning == Pinning::ByName,
        variables,
        elements,
    }
}

/// The name of a key's or value's type; data sections have neither in C.
fn said(object: &Object, ty: TypeId) -> Option<String> {
    let btf = object.btf()?;
    match btf.kind(ty) {
        Kind::Void | Kind::DataSec { .. } => None,
        _ => Some(types::name(btf, ty)),
    }
}

fn define(definition: &MapDefinition, named: &dyn Fn(TypeId) -> Option<String>) -> DefinitionJson {
    DefinitionJson {
        r#type: type_name(definition.map_type),
        key_size: definition.key_size,
        value_size: definition.value_size,
        max_entries: definition.max_entries,
        flags: definition.flags,
        map_extra: definition.extra,
        key_type: definition.key_type.and_then(named),
        value_type: definition.value_type.and_then(named),
        inner: definition
            .inner
            .as_ref()
            .map(|inner| Box::new(define(inner, named))),
    }
}

fn print_text(map: &MapJson<'_>, out: &mut impl Write) -> Result<(), Problem> {
    let pinned = if map.pinned_by_name {
        "  pinned by name"
    } else {
        ""
    };
    writeln!(
        out,
        "{}  {}{pinned}",
        Painted(NAME, map.name),
        attributes(&map.definition)
    )?;
    if let Some(inner) = &map.definition.inner {
        writeln!(out, "    inner: {}", attributes(inner))?;
    }
    for VariableJson {
        name,
        offset,
        size,
        r#type,
    } in &map.variables
    {
        let place = format!("{offset:6} {size:6}");
        writeln!(out, "    {}  {} {name}", Painted(QUIET, place), r#type)?;
    }
    for ElementJson { key, kind, name } in &map.elements {
        writeln!(out, "    [{key}] = {kind} {name}")?;
    }
    Ok(())
}

fn attributes(definition: &DefinitionJson) -> String {
    let mut parts = vec![definition.r#type.clone()];
    let mut side = |what: &str, size: u32, ty: &Option<String>| match (size, ty) {
        (0, None) => {}
        (size, None) => parts.push(format!("{what} {size} bytes")),
        (size, Some(ty)) => parts.push(format!("{what} {ty} ({size} bytes)")),
    };
    side("key", definition.key_size, &definition.key_type);
    side("value", definition.value_size, &definition.value_type);
    if definition.max_entries > 0 {
        parts.push(format!("max_entries {}", definition.max_entries));
    }
    if definition.flags != 0 {
        parts.push(format!("flags {:#x}", definition.flags));
    }
    if definition.map_extra != 0 {
        parts.push(format!("map_extra {:#x}", definition.map_extra));
    }
    parts.join("  ")
}
