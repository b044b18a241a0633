//! Relocations of code: which instruction refers to what.

use alloc::sync::Arc;

use panal_isa::Slot;

use super::layout::{Holds, Layout, Reference};
use crate::{
    elf::Rel,
    error::{Error, Fault, Place},
    external::ExternKind,
    function::{Relocation, Target},
    object::{ExternId, FunctionId},
};

/// Relocation types of `EM_BPF` (kernel document `bpf/llvm_reloc.rst`).
const R_BPF_NONE: u32 = 0;
const R_BPF_64_64: u32 = 1;
const R_BPF_64_32: u32 = 10;

/// `lddw`
const LOAD_IMM64: u8 = 0x18;
/// `call`
const CALL: u8 = 0x85;
/// `BPF_PSEUDO_CALL` in the source register: a call of a subprogram.
const PSEUDO_CALL: u8 = 1;

/// Reads the relocations of all sections with code.
pub(super) fn code(layout: &mut Layout<'_, '_>) -> Result<(), Error> {
    for section in 0..layout.elf.sections.len() {
        if layout.holds[section] != Holds::Code {
            continue;
        }
        let elf = layout.elf;
        for relocation in &elf.sections[section].relocations {
            if relocation.kind != R_BPF_NONE {
                relocate(layout, section, relocation)?;
            }
        }
        for i in 0..layout.ranges[section].len() {
            let (start, _, id) = layout.ranges[section][i];
            let function = &mut layout.functions[id.index()];
            function.relocations.sort_by_key(|r| r.slot);
            if let Some(pair) = function
                .relocations
                .windows(2)
                .find(|p| p[0].slot == p[1].slot)
            {
                let offset = start + u64::from(pair[0].slot) * Slot::SIZE as u64;
                let place = layout.place(section, offset);
                return Err(Error::new(
                    place,
                    Fault::Elf("two relocations of one instruction"),
                ));
            }
            local_calls(layout, section, start, id)?;
        }
    }
    Ok(())
}

fn relocate(layout: &mut Layout<'_, '_>, section: usize, relocation: &Rel) -> Result<(), Error> {
    let place = layout.place(section, relocation.offset);
    let ranges = &layout.ranges[section];
    let after = ranges.partition_point(|(start, ..)| *start <= relocation.offset);
    let found = after.checked_sub(1).and_then(|i| ranges.get(i));
    let Some(&(start, _, id)) = found.filter(|(_, end, _)| relocation.offset < *end) else {
        return Err(Error::new(place, Fault::RelocationOutside));
    };
    let function = &layout.functions[id.index()];
    let place = place.symbol(function.name.clone());
    let within = relocation.offset - start;
    let slot = (within / Slot::SIZE as u64) as usize;
    let instruction = match function.code.get(slot) {
        Some(instruction) if within.is_multiple_of(Slot::SIZE as u64) => *instruction,
        _ => return Err(Error::new(place, Fault::RelocationOutside)),
    };
    let whole = slot + 1 < function.code.len();
    let target = match (relocation.kind, instruction.opcode) {
        (R_BPF_64_64, LOAD_IMM64) if whole => load(layout, relocation, instruction, &place)?,
        (R_BPF_64_32, CALL) => call(layout, relocation, instruction, &place)?,
        (R_BPF_64_64 | R_BPF_64_32, opcode) => {
            return Err(Error::new(place, Fault::RelocationOpcode(opcode)));
        }
        (kind, _) => return Err(Error::new(place, Fault::RelocationType(kind))),
    };
    let relocation = Relocation {
        slot: slot as u32,
        target,
    };
    layout.functions[id.index()].relocations.push(relocation);
    Ok(())
}

/// A 64-bit immediate load: the addend stands in the immediate.
fn load(
    layout: &Layout<'_, '_>,
    relocation: &Rel,
    instruction: Slot,
    place: &Place,
) -> Result<Target, Error> {
    let addend = relocation.addend.wrapping_add(instruction.imm.into());
    let (section, offset) = match layout.follow(relocation.symbol, addend, place)? {
        Reference::Section(section, offset) => (section, offset),
        Reference::Undefined(symbol) => {
            return Ok(Target::Extern(external(layout, symbol, place)?));
        }
    };
    match layout.holds[section] {
        Holds::Maps => Ok(Target::Map(layout.map_from(section, offset, place)?)),
        Holds::Code => Ok(Target::FunctionAddress(
            layout.function_from(section, offset, place)?,
        )),
        Holds::Data(map) => {
            let size = layout.elf.sections[section].size;
            match u32::try_from(offset) {
                Ok(offset) if u64::from(offset) <= size => Ok(Target::Data { map, offset }),
                _ => {
                    let section = layout.names[section].clone();
                    Err(Error::new(
                        place.clone(),
                        Fault::DataOutside {
                            section,
                            offset,
                            size,
                        },
                    ))
                }
            }
        }
        Holds::StructOps | Holds::Other => {
            let name = layout.names[section].clone();
            Err(Error::new(place.clone(), Fault::BadTarget(name)))
        }
    }
}

/// A call: the immediate counts slots from the symbol, less one.
fn call(
    layout: &Layout<'_, '_>,
    relocation: &Rel,
    instruction: Slot,
    place: &Place,
) -> Result<Target, Error> {
    let slots = i64::from(instruction.imm) + 1;
    let addend = relocation.addend.wrapping_add(slots * Slot::SIZE as i64);
    match layout.follow(relocation.symbol, addend, place)? {
        Reference::Section(section, offset) if layout.holds[section] == Holds::Code => {
            Ok(Target::Call(layout.function_from(section, offset, place)?))
        }
        Reference::Section(section, _) => Err(Error::new(
            place.clone(),
            Fault::BadTarget(layout.names[section].clone()),
        )),
        Reference::Undefined(symbol) => {
            let id = external(layout, symbol, place)?;
            match layout.externs[id.index()].kind {
                ExternKind::Function { .. } => Ok(Target::Kfunc(id)),
                _ => {
                    let name = layout.externs[id.index()].name.clone();
                    Err(Error::new(place.clone(), Fault::ExternUse(name)))
                }
            }
        }
    }
}

fn external(layout: &Layout<'_, '_>, symbol: u32, place: &Place) -> Result<ExternId, Error> {
    let name = layout.elf.symbol(symbol).map_or("", |s| s.name);
    layout
        .extern_by_name
        .get(name)
        .copied()
        .ok_or_else(|| Error::new(place.clone(), Fault::Undefined(Arc::from(name))))
}

/// Calls of functions of the same section need no relocation from the assembler, but move when
/// functions do.
fn local_calls(
    layout: &mut Layout<'_, '_>,
    section: usize,
    start: u64,
    id: FunctionId,
) -> Result<(), Error> {
    let function = &layout.functions[id.index()];
    let mut found = alloc::vec::Vec::new();
    let mut slot = 0;
    while let Some(instruction) = function.code.get(slot) {
        let is_call = instruction.opcode == CALL && instruction.src() == PSEUDO_CALL;
        let relocated = || {
            function
                .relocations
                .binary_search_by_key(&(slot as u32), |r| r.slot)
                .is_ok()
        };
        if is_call && !relocated() {
            let target = slot as i64 + 1 + i64::from(instruction.imm);
            // A call within the function itself moves with it.
            if !(1..function.code.len() as i64).contains(&target) {
                let here = start + slot as u64 * Slot::SIZE as u64;
                let place = layout.place(section, here).symbol(function.name.clone());
                let offset = start as i64 + target * Slot::SIZE as i64;
                let target = Target::Call(layout.function_from(section, offset, &place)?);
                found.push(Relocation {
                    slot: slot as u32,
                    target,
                });
            }
        }
        slot += if instruction.opcode == LOAD_IMM64 {
            2
        } else {
            1
        };
    }
    let relocations = &mut layout.functions[id.index()].relocations;
    relocations.extend(found);
    relocations.sort_by_key(|r| r.slot);
    Ok(())
}
