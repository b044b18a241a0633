//! Global variables: each data section is an array map with one value.

use alloc::vec::Vec;

use panal_btf::{Kind, TypeId, VarLinkage};

use super::layout::{Holds, Layout};
use crate::{
    elf::Section,
    error::{Error, Fault, Place},
    map::{Data, Map, MapDefinition, Origin, Segment, Variable},
    object::MapId,
};

/// `BPF_MAP_TYPE_ARRAY`
const ARRAY: u32 = 2;
/// `BPF_MAP_TYPE_ARENA`
const ARENA: u32 = 33;
/// Sections of variables of another address space: an arena's.
const ARENA_SECTION: &str = ".addr_space.";
/// Bytes of a page of an arena.
const ARENA_PAGE: u64 = 4096;
/// `BPF_F_RDONLY_PROG`
const RDONLY_PROG: u32 = 1 << 7;
/// `BPF_F_MMAPABLE`
const MMAPABLE: u32 = 1 << 10;

/// Finds the data sections.
pub(super) fn collect(layout: &mut Layout<'_, '_>) -> Result<(), Error> {
    for (index, section) in layout.elf.sections.iter().enumerate() {
        let Some(segment) = segment(section) else {
            continue;
        };
        if section.size == 0 {
            continue;
        }
        let place = Place::section(layout.names[index].clone());
        let size = u32::try_from(section.size)
            .map_err(|_| Error::new(place.clone(), Fault::TooMany("bytes of global variables")))?;
        if !section.relocations.is_empty() {
            layout.remarks.push(crate::object::Remark {
                place: place.offset(section.relocations[0].offset),
                text: "pointers to variables or functions in global data are not filled in",
            });
        }
        let name = layout.names[index].clone();
        let map = layout.add_map(Map {
            section: name.clone(),
            definition: definition(layout, &name, segment, size),
            origin: Origin::Data(Data {
                segment,
                contents: section.data.to_vec(),
                size,
                variables: variables(layout, index, section),
            }),
            name,
        });
        layout.holds[index] = Holds::Data(map);
    }
    Ok(())
}

/// Finds the variables of the arena: they lie at its start.
pub(super) fn collect_arena(layout: &mut Layout<'_, '_>) -> Result<(), Error> {
    for (index, section) in layout.elf.sections.iter().enumerate() {
        if !section.name.starts_with(ARENA_SECTION) || section.size == 0 {
            continue;
        }
        let name = layout.names[index].clone();
        let place = Place::section(name.clone());
        let fail = |fault| Err(Error::new(place.clone(), fault));
        let of_arena = |map: &Map| map.definition.map_type == ARENA;
        let Some(map) = layout.maps.iter().position(of_arena) else {
            return fail(Fault::NoArena(name));
        };
        let room = u64::from(layout.maps[map].definition.max_entries) * ARENA_PAGE;
        let size = match u32::try_from(section.size) {
            Ok(size) if section.size <= room => size,
            _ => return fail(Fault::ArenaTooSmall(section.size, room)),
        };
        if let Origin::Arena(_) = layout.maps[map].origin {
            return fail(Fault::TwoArenaSections);
        }
        layout.maps[map].origin = Origin::Arena(Data {
            segment: Segment::Arena,
            contents: section.data.to_vec(),
            size,
            variables: variables(layout, index, section),
        });
        layout.holds[index] = Holds::Data(MapId(map as u32));
    }
    Ok(())
}

fn segment(section: &Section<'_>) -> Option<Segment> {
    let is = |name: &str| {
        section
            .name
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if section.is_code {
        None
    } else if is(".bss") && section.is_zero {
        Some(Segment::Bss)
    } else if is(".rodata") && !section.is_zero {
        Some(Segment::Rodata)
    } else if is(".data") {
        Some(if section.is_zero {
            Segment::Bss
        } else {
            Segment::Data
        })
    } else {
        None
    }
}

/// The map that holds a data section.
pub(super) fn definition(
    layout: &Layout<'_, '_>,
    section: &str,
    segment: Segment,
    size: u32,
) -> MapDefinition {
    let flags = MMAPABLE
        | if segment == Segment::Rodata {
            RDONLY_PROG
        } else {
            0
        };
    let types = layout.btf.as_ref().and_then(|b| b.section(section));
    MapDefinition {
        map_type: ARRAY,
        key_size: 4,
        value_size: size,
        max_entries: 1,
        flags,
        value_type: types.map(|(id, ..)| id),
        // As with libbpf: no key type, only that of the value.
        key_type: types.map(|_| TypeId::VOID),
        ..MapDefinition::default()
    }
}

/// What stands where. The types' own offsets of global variables are zero: the symbols know.
fn variables(layout: &Layout<'_, '_>, index: usize, section: &Section<'_>) -> Vec<Variable> {
    let Some(btf) = &layout.btf else {
        return Vec::new();
    };
    let Some((_, _, vars)) = btf.section(section.name) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for var in vars {
        let Some(ty) = btf.get(var.ty) else { continue };
        let Kind::Var { ty: value, linkage } = ty.kind else {
            continue;
        };
        let symbol = layout.variable(index, &ty.name);
        let offset = match symbol {
            Some(symbol) => symbol.value,
            None if linkage == VarLinkage::Static => u64::from(var.offset),
            None => continue,
        };
        let size = match var.size {
            0 => symbol.map_or(0, |s| s.size),
            size => u64::from(size),
        };
        if offset
            .checked_add(size)
            .is_none_or(|end| end > section.size)
        {
            continue;
        }
        out.push(Variable {
            name: ty.name.clone(),
            offset: offset as u32,
            size: size as u32,
            ty: value,
        });
    }
    out.sort_by_key(|v| v.offset);
    out
}
