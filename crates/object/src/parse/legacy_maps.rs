//! Maps defined by value, in sections `maps` and `maps/NAME`: an array of structures whose length
//! depends on the header that the source was compiled with.

use alloc::{boxed::Box, vec::Vec};

use super::layout::{Holds, Layout};
use crate::{
    elf::{Home, Symbol, SymbolKind},
    error::{Error, Fault, MapFault, Place},
    map::{Map, MapDefinition, Origin, Pinning},
};

/// Words of `struct bpf_map_def` with the flags, and of the form with inner map and NUMA node.
const PLAIN: usize = 5;
const SAMPLES: usize = 7;
/// Words of iproute2's `struct bpf_elf_map`.
const IPROUTE: usize = 9;
/// Fewest words: type, key size, value size, capacity.
const SHORTEST: usize = 4;
/// `PIN_GLOBAL_NS` of iproute2.
const PIN_GLOBAL: u32 = 2;
/// `BPF_MAP_TYPE_ARRAY_OF_MAPS` and `BPF_MAP_TYPE_HASH_OF_MAPS`
const HOLD_MAPS: [u32; 2] = [12, 13];

/// A definition that was read, with the inner map that it names.
struct Read {
    definition: MapDefinition,
    /// `id` of iproute2.
    id: u32,
    inner: Inner,
}

#[derive(Clone, Copy)]
enum Inner {
    None,
    /// By place among the definitions of the section.
    Index(u32),
    /// By iproute2's `id`.
    Id(u32),
}

/// Finds the maps of `maps` sections.
pub(super) fn collect(layout: &mut Layout<'_, '_>) -> Result<(), Error> {
    for index in 0..layout.elf.sections.len() {
        let section = &layout.elf.sections[index];
        let is_maps = section.name == "maps" || section.name.starts_with("maps/");
        if is_maps && !section.is_code && section.size != 0 && !section.is_zero {
            layout.holds[index] = Holds::Maps;
            collect_section(layout, index)?;
        }
    }
    Ok(())
}

fn collect_section(layout: &mut Layout<'_, '_>, index: usize) -> Result<(), Error> {
    let section = &layout.elf.sections[index];
    let mut symbols: Vec<&Symbol<'_>> = layout
        .elf
        .symbols
        .iter()
        .filter(|s| s.home == Home::Section(index))
        .filter(|s| s.kind == SymbolKind::Object || (s.kind == SymbolKind::None && !s.local))
        .collect();
    symbols.sort_by_key(|s| s.value);
    symbols.dedup_by_key(|s| s.value);

    let mut read = Vec::new();
    for (i, symbol) in symbols.iter().enumerate() {
        let place = layout.place(index, symbol.value).symbol(symbol.name);
        // Definitions fill the section evenly, with the padding that their type asks for.
        let end = symbols.get(i + 1).map_or(section.size, |next| next.value);
        let end = match symbol.size {
            0 => end,
            size => end.min(symbol.value.saturating_add(size)),
        };
        let bytes = usize::try_from(symbol.value)
            .ok()
            .zip(usize::try_from(end).ok())
            .and_then(|(start, end)| section.data.get(start..end))
            .ok_or_else(|| {
                Error::new(place.clone(), Fault::Elf("the map is outside its section"))
            })?;
        read.push(definition(bytes).map_err(|fault| Error::new(place.clone(), fault))?);
    }
    for (i, symbol) in symbols.iter().enumerate() {
        let place = layout.place(index, symbol.value).symbol(symbol.name);
        let mut definition = read[i].definition.clone();
        definition.inner = inner(&read, i, &place)?;
        let id = layout.add_map(Map {
            name: symbol.name.into(),
            section: layout.names[index].clone(),
            definition,
            origin: Origin::Legacy,
        });
        layout.map_at.insert((index, symbol.value), id);
    }
    Ok(())
}

fn definition(bytes: &[u8]) -> Result<Read, Fault> {
    let (words, rest) = bytes.as_chunks::<4>();
    let words: Vec<u32> = words.iter().map(|w| u32::from_le_bytes(*w)).collect();
    if words.len() < SHORTEST {
        return Err(Fault::LegacyMapSize(bytes.len() as u64));
    }
    let word = |i: usize| words.get(i).copied().unwrap_or(0);
    let mut read = Read {
        definition: MapDefinition {
            map_type: word(0),
            key_size: word(1),
            value_size: word(2),
            max_entries: word(3),
            flags: word(4),
            ..MapDefinition::default()
        },
        id: 0,
        inner: Inner::None,
    };
    let known = match words.len() {
        SAMPLES => {
            if HOLD_MAPS.contains(&word(0)) {
                read.inner = Inner::Index(word(5));
                SAMPLES
            } else if word(6) != 0 {
                read.definition.numa_node = Some(word(6));
                SAMPLES
            } else {
                PLAIN
            }
        }
        IPROUTE => {
            read.id = word(5);
            if word(6) == PIN_GLOBAL {
                read.definition.pinning = Pinning::ByName;
            }
            if HOLD_MAPS.contains(&word(0)) {
                read.inner = Inner::Id(word(7));
            }
            IPROUTE
        }
        _ => PLAIN,
    };
    if words.iter().skip(known).any(|&w| w != 0) || rest.iter().any(|&b| b != 0) {
        return Err(Fault::LegacyMapFields);
    }
    Ok(read)
}

/// The template of the maps within, from another definition of the section.
fn inner(read: &[Read], own: usize, place: &Place) -> Result<Option<Box<MapDefinition>>, Error> {
    let (found, number) = match read[own].inner {
        Inner::None => return Ok(None),
        Inner::Index(i) => (read.get(i as usize), i),
        Inner::Id(id) => (read.iter().find(|r| r.id == id && id != 0), id),
    };
    let fail = |fault| {
        let attribute = "inner map".into();
        Err(Error::new(
            place.clone(),
            Fault::MapAttribute { attribute, fault },
        ))
    };
    match found {
        None => fail(MapFault::Range(number.into())),
        Some(r) if !matches!(r.inner, Inner::None) => fail(MapFault::TooDeep),
        Some(r) => Ok(Some(Box::new(r.definition.clone()))),
    }
}
