//! What programs send through ring buffers and perf buffers, as a table or as JSON lines.
//!
//! A record's type is found in the object's types, in this order: the struct that the map's own
//! definition gives as its value (`__type(value, struct event)`); the struct that is called as the
//! map, without a final `s` or `es`
//! (`struct event` for `events`); `struct event`. A record that is too short
//! for it, and one without a type, is shown as bytes.

use std::{io::Write, sync::Arc};

use panal_btf::{Btf, Kind, TypeId, value::Json};
use panal_loader::{Loaded, LoadedMap};
use panal_uapi::{
    MapType,
    kernel::{Fd, Kernel},
};

use crate::{
    error::Problem,
    fields::{self, Column},
    output::{self, HEADING, Painted},
    text::clean,
};

/// A map that sends records.
struct Source {
    name: String,
    fd: Fd,
    perf: bool,
    record: Option<Record>,
    /// Whether the table's heading was printed since another table was.
    headed: bool,
}

/// The type of a map's records.
pub struct RecordType {
    pub btf: Arc<Btf>,
    pub ty: TypeId,
    pub size: usize,
}

/// The same with how it is shown.
struct Record {
    ty: RecordType,
    columns: Option<Vec<Column>>,
}

/// All sources of an object.
pub struct Events {
    sources: Vec<Source>,
    json: bool,
}

impl Events {
    /// The ring buffers and perf buffers of a loaded object.
    pub fn of(loaded: &Loaded<'_>, json: bool) -> Events {
        let sources = loaded
            .maps()
            .iter()
            .filter_map(|map| {
                let perf = match map.plan.map_type {
                    MapType::Ringbuf => false,
                    MapType::PerfEventArray => true,
                    _ => return None,
                };
                let record = record(loaded, map);
                let (name, fd) = (map.plan.name.clone(), map.fd.clone());
                Some(Source {
                    name,
                    fd,
                    perf,
                    record,
                    headed: false,
                })
            })
            .collect();
        Events { sources, json }
    }

    /// Whether JSON is printed.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints every record that waits; how many there were.
    pub fn drain(&mut self, kernel: &dyn Kernel, out: &mut impl Write) -> Result<usize, Problem> {
        let mut count = 0;
        for index in 0..self.sources.len() {
            let mut records: Vec<Vec<u8>> = Vec::new();
            let mut lost = 0;
            let source = &self.sources[index];
            let result = if source.perf {
                let mut sink = |_, bytes: &[u8]| records.push(bytes.to_vec());
                kernel.perf_buffer_consume(&source.fd, &mut sink, &mut |_, missed| lost += missed)
            } else {
                kernel.ring_buffer_consume(&source.fd, &mut |bytes| records.push(bytes.to_vec()))
            };
            result.map_err(|failure| Problem::Asked(format!("map {}: {failure}", source.name)))?;
            count += records.len();
            for bytes in &records {
                self.print(index, bytes, out)?;
            }
            if lost > 0 {
                self.print_lost(index, lost, out)?;
            }
        }
        Ok(count)
    }

    fn print_lost(&self, index: usize, lost: u64, out: &mut impl Write) -> Result<(), Problem> {
        let name = &self.sources[index].name;
        match self.json {
            true => {
                let name = serde_json::Value::from(name.as_str());
                writeln!(out, "{{\"map\":{name},\"lost\":{lost}}}")?;
            }
            false => writeln!(out, "{}: {lost} records lost", clean(name))?,
        }
        Ok(())
    }

    fn print(&mut self, index: usize, bytes: &[u8], out: &mut impl Write) -> Result<(), Problem> {
        let source = &self.sources[index];
        let value = source.record.as_ref().and_then(|record| {
            let RecordType { btf, ty, size } = &record.ty;
            let fits = bytes.len() >= *size;
            fits.then(|| btf.decode(*ty, bytes).ok())?
        });
        let name = serde_json::Value::from(source.name.as_str());
        match (self.json, value) {
            (true, Some(value)) => {
                writeln!(out, "{{\"map\":{name},\"event\":{}}}", Json(&value))?;
            }
            (true, None) => {
                let hex = output::hex(bytes.iter().copied());
                writeln!(out, "{{\"map\":{name},\"bytes\":\"{hex}\"}}")?;
            }
            (false, Some(value)) => match source.record.as_ref().and_then(|r| r.columns.as_ref()) {
                Some(columns) => {
                    let line = fields::cells(columns, &value, bytes);
                    if !source.headed {
                        writeln!(out, "{}", Painted(HEADING, fields::heading(columns)))?;
                        self.sources
                            .iter_mut()
                            .for_each(|source| source.headed = false);
                        self.sources[index].headed = true;
                    }
                    writeln!(out, "{line}")?;
                }
                None => writeln!(out, "{}", clean(&value.to_string()))?,
            },
            (false, None) => {
                let hex = output::hex(bytes.iter().copied());
                writeln!(out, "{}: {hex}", clean(&source.name))?;
            }
        }
        Ok(())
    }
}

fn record(loaded: &Loaded<'_>, map: &LoadedMap) -> Option<Record> {
    let ty = record_type(loaded, map)?;
    let columns = fields::columns(&ty.btf, ty.ty);
    Some(Record { ty, columns })
}

/// The type of what a map's ring holds, if the object tells.
pub fn record_type(loaded: &Loaded<'_>, map: &LoadedMap) -> Option<RecordType> {
    let btf = loaded.object().btf()?;
    let declared = loaded.object().map(map.plan.id).definition.value_type;
    let name = map.plan.name.as_str();
    let without = |ending| name.strip_suffix(ending).unwrap_or(name);
    let by_name = [name, without("s"), without("es"), "event"];
    let ty = declared.filter(|ty| is_struct(btf, *ty)).or_else(|| {
        by_name
            .iter()
            .find_map(|name| {
                btf.iter()
                    .find(|(id, ty)| &*ty.name == *name && is_struct(btf, *id))
            })
            .map(|(id, _)| id)
    })?;
    let size = btf.size_of(ty)? as usize;
    Some(RecordType {
        btf: btf.clone(),
        ty,
        size,
    })
}

fn is_struct(btf: &Btf, id: TypeId) -> bool {
    matches!(btf.resolve(id).1.kind, Kind::Struct { size, .. } if size > 0)
}
