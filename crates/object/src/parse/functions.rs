//! Functions from symbols: where each begins and ends, and who enters it.

use alloc::{sync::Arc, vec, vec::Vec};

use panal_isa::Slot;

use super::layout::{Holds, Layout};
use crate::{
    elf::{Home, Section, Symbol, SymbolKind},
    error::{Error, Fault, Place},
    function::{Function, Role, Target},
    object::FunctionId,
};

const SLOT: u64 = Slot::SIZE as u64;

/// The section of subprograms, and of programs without `SEC`.
const TEXT: &str = ".text";

/// A function before its instructions are read.
struct Start<'a> {
    name: &'a str,
    offset: u64,
    /// 0 where the symbol does not say.
    size: u64,
    global: bool,
}

/// Finds the functions of all sections with code.
pub(super) fn collect(layout: &mut Layout<'_, '_>) -> Result<(), Error> {
    let mut starts: Vec<Vec<&Symbol<'_>>> = vec![Vec::new(); layout.elf.sections.len()];
    for symbol in &layout.elf.symbols {
        if let Home::Section(section) = symbol.home {
            starts[section].push(symbol);
        }
    }
    for (index, section) in layout.elf.sections.iter().enumerate() {
        if !section.is_code {
            continue;
        }
        layout.holds[index] = Holds::Code;
        if !section.size.is_multiple_of(SLOT) {
            let place = Place::section(layout.names[index].clone());
            return Err(Error::new(place, Fault::CodeSize(section.size)));
        }
        if section.size != 0 {
            collect_section(layout, index, section, &starts[index])?;
        }
    }
    Ok(())
}

fn collect_section(
    layout: &mut Layout<'_, '_>,
    index: usize,
    section: &Section<'_>,
    symbols: &[&Symbol<'_>],
) -> Result<(), Error> {
    let starts = function_starts(section, symbols);
    for (i, start) in starts.iter().enumerate() {
        let next = starts.get(i + 1);
        let limit = next.map_or(section.size, |n| n.offset);
        let end = match start.size {
            0 => limit,
            size => start.offset.saturating_add(size),
        };
        let place = layout.place(index, start.offset).symbol(start.name);
        let size = end.saturating_sub(start.offset);
        if size == 0 || end > section.size || !(start.offset | size).is_multiple_of(SLOT) {
            let fault = Fault::FunctionRange {
                size,
                section_size: section.size,
            };
            return Err(Error::new(place, fault));
        }
        if let Some(next) = next.filter(|n| end > n.offset) {
            return Err(Error::new(place, Fault::Overlap(Arc::from(next.name))));
        }
        let id = FunctionId(layout.functions.len() as u32);
        layout.function_at.insert((index, start.offset), id);
        layout.ranges[index].push((start.offset, end, id));
        layout.functions.push(Function {
            name: Arc::from(start.name),
            section: layout.names[index].clone(),
            section_slot: (start.offset / SLOT) as u32,
            role: Role::Subprogram,
            global: start.global,
            code: slots(&section.data[start.offset as usize..end as usize]),
            relocations: Vec::new(),
            ty: None,
            lines: Vec::new(),
            core: Vec::new(),
        });
    }
    Ok(())
}

/// Where functions begin, in order: at function symbols, and at others where an assembler gave no
/// type. Labels within functions are none.
fn function_starts<'a>(section: &Section<'a>, symbols: &[&Symbol<'a>]) -> Vec<Start<'a>> {
    let mut found: Vec<&Symbol<'_>> = symbols
        .iter()
        .copied()
        .filter(|s| s.kind == SymbolKind::Function || (s.kind == SymbolKind::None && !s.local))
        .collect();
    if !found.iter().any(|s| s.value == 0) {
        found.extend(
            symbols
                .iter()
                .copied()
                .find(|s| s.value == 0 && s.kind == SymbolKind::None && !s.name.starts_with("LBB")),
        );
    }
    // Of several names for one place, the first global one with a size counts.
    found.sort_by_key(|s| {
        (
            s.value,
            s.local,
            s.kind != SymbolKind::Function,
            s.size == 0,
        )
    });
    found.dedup_by_key(|s| s.value);
    let mut starts: Vec<Start<'_>> = found
        .iter()
        .map(|s| Start {
            name: s.name,
            offset: s.value,
            size: s.size,
            global: !s.local && !s.hidden,
        })
        .collect();
    if starts.first().is_none_or(|s| s.offset != 0) {
        starts.insert(
            0,
            Start {
                name: section.name,
                offset: 0,
                size: 0,
                global: true,
            },
        );
    }
    starts
}

fn slots(bytes: &[u8]) -> Vec<Slot> {
    bytes
        .chunks_exact(Slot::SIZE)
        .filter_map(|c| c.first_chunk())
        .map(|c| Slot::from_bytes(*c))
        .collect()
}

/// Says which functions are programs: those in sections of their own that nobody calls, or that
/// can be seen from outside. In `.text` stand subprograms, unless the object has nothing else.
pub(super) fn assign_roles(layout: &mut Layout<'_, '_>) {
    let mut called = vec![false; layout.functions.len()];
    for function in &layout.functions {
        for relocation in &function.relocations {
            if let Target::Call(id) | Target::FunctionAddress(id) = relocation.target {
                called[id.index()] = true;
            }
        }
    }
    let only_text = layout.functions.iter().all(|f| &*f.section == TEXT);
    for (function, called) in layout.functions.iter_mut().zip(called) {
        let is_program = match &*function.section {
            TEXT => only_text && !called,
            _ => function.global || !called,
        };
        function.role = if is_program {
            Role::Program
        } else {
            Role::Subprogram
        };
    }
}
