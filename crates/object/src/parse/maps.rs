//! Maps defined by types (`.maps`): the attributes are the members of an anonymous struct.

use alloc::{boxed::Box, sync::Arc, vec::Vec};

use panal_btf::{Btf, Kind, Member, TypeId};

use super::layout::{Holds, Layout, Reference};
use crate::{
    error::{Error, Fault, MapFault, Place},
    function::Role,
    map::{Element, Map, MapDefinition, Origin, Pinning},
    object::{FunctionId, MapId},
};

const SECTION: &str = ".maps";
/// `BPF_MAP_TYPE_PROG_ARRAY`
const PROG_ARRAY: u32 = 3;
/// `BPF_MAP_TYPE_ARRAY_OF_MAPS`
const ARRAY_OF_MAPS: u32 = 12;
/// `BPF_MAP_TYPE_HASH_OF_MAPS`
const HASH_OF_MAPS: u32 = 13;
/// `R_BPF_64_ABS64`
const R_BPF_64_ABS64: u32 = 2;
/// Bytes of a pointer.
const POINTER: u64 = 8;

/// Finds the maps of `.maps`.
pub(super) fn collect(layout: &mut Layout<'_, '_>) -> Result<(), Error> {
    let sections: Vec<usize> = layout
        .elf
        .named(SECTION)
        .filter(|(_, s)| s.size != 0)
        .map(|(i, _)| i)
        .collect();
    for index in sections {
        layout.holds[index] = Holds::Maps;
        collect_section(layout, index)?;
    }
    Ok(())
}

fn collect_section(layout: &mut Layout<'_, '_>, index: usize) -> Result<(), Error> {
    let place = Place::section(SECTION);
    let btf = layout
        .btf
        .clone()
        .ok_or_else(|| Error::new(place.clone(), Fault::NoBtf))?;
    let Some((_, _, vars)) = btf.section(SECTION) else {
        return Err(Error::new(place, Fault::NoDataSec));
    };
    for var in vars {
        let Some(ty) = btf.get(var.ty) else { continue };
        let Kind::Var { ty: definition, .. } = ty.kind else {
            continue;
        };
        let place = place.clone().symbol(ty.name.clone());
        let Some(symbol) = layout.variable(index, &ty.name) else {
            return Err(Error::new(place, Fault::Elf("the map has no symbol")));
        };
        let definition = Definer {
            btf: &btf,
            place: &place,
        }
        .define(definition, true)?;
        let id = layout.add_map(Map {
            name: ty.name.clone(),
            section: layout.names[index].clone(),
            definition,
            origin: Origin::Defined(Vec::new()),
        });
        layout.map_at.insert((index, symbol.value), id);
    }
    Ok(())
}

/// Reads one definition.
struct Definer<'b> {
    btf: &'b Btf,
    place: &'b Place,
}

impl Definer<'_> {
    fn fail(&self, attribute: &str, fault: MapFault) -> Error {
        let attribute = Arc::from(attribute);
        Error::new(self.place.clone(), Fault::MapAttribute { attribute, fault })
    }

    fn define(&self, ty: TypeId, outer: bool) -> Result<MapDefinition, Error> {
        let (_, ty) = self.btf.resolve(ty);
        let Kind::Struct { members, .. } = &ty.kind else {
            return Err(self.fail("definition", MapFault::Form("a struct")));
        };
        let mut map = MapDefinition::default();
        for member in members {
            self.attribute(&mut map, member, outer)?;
        }
        if map.map_type == 0 {
            return Err(self.fail("type", MapFault::Missing));
        }
        let holds_maps = matches!(map.map_type, ARRAY_OF_MAPS | HASH_OF_MAPS);
        if map.inner.is_some() && !holds_maps {
            return Err(self.fail("values", MapFault::NotForType));
        }
        Ok(map)
    }

    fn attribute(
        &self,
        map: &mut MapDefinition,
        member: &Member,
        outer: bool,
    ) -> Result<(), Error> {
        let name = &*member.name;
        match name {
            "type" => map.map_type = self.number(member)?,
            "max_entries" => map.max_entries = self.number(member)?,
            "map_flags" => map.flags = self.number(member)?,
            "numa_node" => map.numa_node = Some(self.number(member)?),
            "map_extra" => map.extra = self.long(member)?,
            "key_size" => {
                let size = self.number(member)?;
                self.set_size(name, &mut map.key_size, size)?;
            }
            "value_size" => {
                let size = self.number(member)?;
                self.set_size(name, &mut map.value_size, size)?;
            }
            "key" => {
                let (ty, size) = self.pointee(member)?;
                self.set_size(name, &mut map.key_size, size)?;
                map.key_type = Some(ty);
            }
            "value" => {
                let (ty, size) = self.pointee(member)?;
                self.set_size(name, &mut map.value_size, size)?;
                map.value_type = Some(ty);
            }
            "values" if !outer => return Err(self.fail(name, MapFault::TooDeep)),
            "values" => self.values(map, member)?,
            "pinning" if !outer => return Err(self.fail(name, MapFault::TooDeep)),
            "pinning" => {
                map.pinning = match self.number(member)? {
                    0 => Pinning::None,
                    1 => Pinning::ByName,
                    n => return Err(self.fail(name, MapFault::Range(n.into()))),
                }
            }
            _ => return Err(self.fail(name, MapFault::Unknown)),
        }
        Ok(())
    }

    /// `__uint(name, value)`: a pointer to an array of that length.
    fn number(&self, member: &Member) -> Result<u32, Error> {
        let form = || self.fail(&member.name, MapFault::Form("__uint"));
        let Kind::Ptr(to) = self.btf.resolve(member.ty).1.kind else {
            return Err(form());
        };
        match self.btf.resolve(to).1.kind {
            Kind::Array { len, .. } => Ok(len),
            _ => Err(form()),
        }
    }

    /// `__ulong(name, value)`: an enumeration with that one value; or `__uint`.
    fn long(&self, member: &Member) -> Result<u64, Error> {
        match &self.btf.resolve(member.ty).1.kind {
            Kind::Enum { values, .. } => match &**values {
                [one] => Ok(one.value as u64),
                _ => Err(self.fail(&member.name, MapFault::Form("__ulong"))),
            },
            _ => self.number(member).map(u64::from),
        }
    }

    /// `__type(name, type)`: a pointer to that type.
    fn pointee(&self, member: &Member) -> Result<(TypeId, u32), Error> {
        let Kind::Ptr(to) = self.btf.resolve(member.ty).1.kind else {
            return Err(self.fail(&member.name, MapFault::Form("__type")));
        };
        match self.btf.size_of(to) {
            Some(size) => Ok((to, size)),
            None => Err(self.fail(&member.name, MapFault::Size)),
        }
    }

    fn set_size(&self, attribute: &str, field: &mut u32, size: u32) -> Result<(), Error> {
        if *field != 0 && *field != size {
            return Err(self.fail(attribute, MapFault::Conflict(size, *field)));
        }
        *field = size;
        Ok(())
    }

    /// `__array(values, ...)`: pointers to maps, or to functions that are programs.
    fn values(&self, map: &mut MapDefinition, member: &Member) -> Result<(), Error> {
        let form = || self.fail(&member.name, MapFault::Form("__array"));
        let Kind::Array { element, .. } = self.btf.resolve(member.ty).1.kind else {
            return Err(form());
        };
        let Kind::Ptr(to) = self.btf.resolve(element).1.kind else {
            return Err(form());
        };
        match self.btf.resolve(to).1.kind {
            Kind::FuncProto { .. } if map.map_type == PROG_ARRAY => {}
            Kind::FuncProto { .. } => {
                return Err(self.fail(&member.name, MapFault::NotForType));
            }
            _ => map.inner = Some(Box::new(self.define(to, false)?)),
        }
        // Both hold descriptors.
        self.set_size(&member.name, &mut map.value_size, 4)
    }
}

/// Reads what maps of maps and prog arrays hold from the start: relocations within `.maps`.
pub(super) fn initialise(layout: &mut Layout<'_, '_>) -> Result<(), Error> {
    for index in 0..layout.elf.sections.len() {
        if layout.holds[index] != Holds::Maps || &*layout.names[index] != SECTION {
            continue;
        }
        let spans = spans(layout, index);
        for relocation in &layout.elf.sections[index].relocations {
            let place = layout.place(index, relocation.offset);
            if relocation.kind != R_BPF_64_ABS64 {
                return Err(Error::new(place, Fault::RelocationType(relocation.kind)));
            }
            let span = spans.iter().find(|s| s.contains(relocation.offset));
            let Some(span) = span else {
                return Err(Error::new(place, Fault::RelocationOutside));
            };
            let map = &layout.maps[span.map.index()];
            let place = place.symbol(map.name.clone());
            let element = (relocation.offset - span.offset)
                .checked_sub(span.values)
                .filter(|offset| offset % POINTER == 0)
                .and_then(|offset| u32::try_from(offset / POINTER).ok())
                .ok_or_else(|| Error::new(place.clone(), Fault::RelocationOutside))?;
            let in_place = in_place(layout.elf.sections[index].data, relocation.offset);
            let addend = relocation.addend.wrapping_add(in_place);
            let target = layout.follow(relocation.symbol, addend, &place)?;
            let value = element_value(layout, map, target, &place, element)?;
            if let Origin::Defined(elements) = &mut layout.maps[span.map.index()].origin {
                elements.push((element, value));
            }
        }
    }
    Ok(())
}

/// The addend that stands in the eight bytes to be relocated.
pub(super) fn in_place(data: &[u8], offset: u64) -> i64 {
    usize::try_from(offset)
        .ok()
        .and_then(|o| data.get(o..))
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

/// A definition with elements.
struct Span {
    map: MapId,
    offset: u64,
    size: u64,
    /// Bytes from the start to the first element.
    values: u64,
}

impl Span {
    fn contains(&self, offset: u64) -> bool {
        offset
            .checked_sub(self.offset)
            .is_some_and(|within| within < self.size)
    }
}

fn spans(layout: &Layout<'_, '_>, index: usize) -> Vec<Span> {
    let mut spans = Vec::new();
    let Some(btf) = &layout.btf else { return spans };
    let Some((_, _, vars)) = btf.section(SECTION) else {
        return spans;
    };
    for var in vars {
        let Kind::Var { ty, .. } = btf.kind(var.ty) else {
            continue;
        };
        let Kind::Struct { members, .. } = &btf.resolve(*ty).1.kind else {
            continue;
        };
        let Some(values) = members.iter().find(|m| &*m.name == "values") else {
            continue;
        };
        let Some(symbol) = layout.variable(index, btf.name(var.ty)) else {
            continue;
        };
        let Some(&map) = layout.map_at.get(&(index, symbol.value)) else {
            continue;
        };
        spans.push(Span {
            map,
            offset: symbol.value,
            size: symbol.size,
            values: u64::from(values.bit_offset / 8),
        });
    }
    spans
}

fn element_value(
    layout: &Layout<'_, '_>,
    map: &Map,
    target: Reference,
    place: &Place,
    element: u32,
) -> Result<Element, Error> {
    let found = match target {
        Reference::Section(section, offset) => match layout.holds[section] {
            Holds::Maps => Some(Element::Map(layout.map_from(section, offset, place)?)),
            Holds::Code => Some(Element::Program(
                layout.function_from(section, offset, place)?,
            )),
            _ => None,
        },
        Reference::Undefined(_) => None,
    };
    let is_program = |id: FunctionId| layout.functions[id.index()].role == Role::Program;
    let fits = match found {
        Some(Element::Map(_)) => map.definition.inner.is_some(),
        Some(Element::Program(id)) => map.definition.map_type == PROG_ARRAY && is_program(id),
        None => false,
    };
    match found {
        Some(value) if fits => Ok(value),
        _ => {
            let fault = MapFault::Element(element);
            Err(Error::new(
                place.clone(),
                Fault::MapAttribute {
                    attribute: Arc::from("values"),
                    fault,
                },
            ))
        }
    }
}
