//! `.struct_ops`: structures of functions that the kernel calls.

use alloc::vec::Vec;

use panal_btf::Kind;

use super::{
    layout::{Holds, Layout, Reference},
    maps::in_place,
};
use crate::{
    error::{Error, Fault, Place},
    map::{Map, MapDefinition, Origin, StructOps},
};

/// `BPF_MAP_TYPE_STRUCT_OPS`
const STRUCT_OPS: u32 = 26;

/// Finds the variables of struct_ops sections.
pub(super) fn collect(layout: &mut Layout<'_, '_>) -> Result<(), Error> {
    for index in 0..layout.elf.sections.len() {
        let name = layout.names[index].clone();
        let (autocreate, plain) = match name.strip_prefix('?') {
            Some(plain) => (false, plain),
            None => (true, &*name),
        };
        let link = match plain {
            ".struct_ops" => false,
            ".struct_ops.link" => true,
            _ => continue,
        };
        let section = &layout.elf.sections[index];
        if section.size == 0 {
            continue;
        }
        layout.holds[index] = Holds::StructOps;
        let place = Place::section(name.clone());
        let btf = layout
            .btf
            .clone()
            .ok_or_else(|| Error::new(place.clone(), Fault::NoBtf))?;
        let Some((_, _, vars)) = btf.section(&name) else {
            return Err(Error::new(place, Fault::NoDataSec));
        };
        let mut total = 0;
        for var in vars {
            let Some(variable) = btf.get(var.ty) else {
                continue;
            };
            let Kind::Var { ty, .. } = variable.kind else {
                continue;
            };
            let place = place.clone().symbol(variable.name.clone());
            let fail = |fault| Error::new(place.clone(), fault);
            let (ty, structure) = btf.resolve(ty);
            let Kind::Struct { size, .. } = structure.kind else {
                return Err(fail(Fault::StructOpsType));
            };
            let symbol = layout
                .variable(index, &variable.name)
                .ok_or_else(|| fail(Fault::Elf("the variable has no symbol")))?;
            let contents = usize::try_from(symbol.value)
                .ok()
                .and_then(|start| section.data.get(start..)?.get(..size as usize))
                .ok_or_else(|| fail(Fault::Elf("the variable is outside its section")))?;
            total += contents.len();
            if total > section.data.len() {
                return Err(fail(Fault::Elf("the variable overlaps another")));
            }
            let map = layout.add_map(Map {
                name: variable.name.clone(),
                section: name.clone(),
                definition: MapDefinition {
                    map_type: STRUCT_OPS,
                    key_size: 4,
                    value_size: size,
                    max_entries: 1,
                    ..MapDefinition::default()
                },
                origin: Origin::StructOps(StructOps {
                    ty,
                    link,
                    autocreate,
                    contents: contents.to_vec(),
                    programs: Vec::new(),
                }),
            });
            layout.map_at.insert((index, symbol.value), map);
        }
    }
    Ok(())
}

/// Reads which programs the function pointers name.
pub(super) fn initialise(layout: &mut Layout<'_, '_>) -> Result<(), Error> {
    for index in 0..layout.elf.sections.len() {
        if layout.holds[index] != Holds::StructOps {
            continue;
        }
        let section = &layout.elf.sections[index];
        let mut starts: Vec<_> = layout
            .map_at
            .iter()
            .filter(|((section, _), _)| *section == index)
            .map(|((_, offset), map)| (*offset, *map))
            .collect();
        starts.sort_unstable();
        for relocation in &section.relocations {
            let place = layout.place(index, relocation.offset);
            let outside = || Error::new(place.clone(), Fault::RelocationOutside);
            let after = starts.partition_point(|(offset, _)| *offset <= relocation.offset);
            let (start, map) = *after
                .checked_sub(1)
                .and_then(|i| starts.get(i))
                .ok_or_else(outside)?;
            let within = relocation.offset - start;
            let size = u64::from(layout.maps[map.index()].definition.value_size);
            if within.checked_add(8).is_none_or(|end| end > size) {
                return Err(outside());
            }
            let in_place = in_place(section.data, relocation.offset);
            let addend = relocation.addend.wrapping_add(in_place);
            let function = match layout.follow(relocation.symbol, addend, &place)? {
                Reference::Section(target, offset) if layout.holds[target] == Holds::Code => {
                    layout.function_from(target, offset, &place)?
                }
                Reference::Section(target, _) => {
                    return Err(Error::new(
                        place,
                        Fault::BadTarget(layout.names[target].clone()),
                    ));
                }
                Reference::Undefined(symbol) => {
                    let name = layout.elf.symbol(symbol).map_or("", |s| s.name);
                    return Err(Error::new(place, Fault::Undefined(name.into())));
                }
            };
            if let Origin::StructOps(ops) = &mut layout.maps[map.index()].origin {
                ops.programs.push((within as u32, function));
                if let Some(bytes) = ops.contents.get_mut(within as usize..within as usize + 8) {
                    bytes.fill(0);
                }
            }
        }
    }
    Ok(())
}
