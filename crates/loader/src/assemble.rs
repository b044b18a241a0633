//! One program out of functions: its own instructions, then those of every subprogram that it
//! reaches, with calls between them, and at last its handler of exceptions.

use panal_isa::Slot;
use panal_object::{Function, FunctionId, Object, Relocation, Role, Target};
use panal_uapi::kernel::{FuncInfo, LineInfo};

use crate::Error;

/// `BPF_PSEUDO_FUNC` in the source register of a 64-bit load: a subprogram's address.
const PSEUDO_FUNC: u8 = 4;
/// `BPF_PSEUDO_CALL` in the source register of a call.
const PSEUDO_CALL: u8 = 1;

/// A program before the kernel's maps and types are filled in.
pub(crate) struct Assembled {
    pub code: Vec<Slot>,
    /// The functions that it consists of, with their first slots; the program itself first.
    pub pieces: Vec<(FunctionId, u32)>,
    /// Relocations that are left, by slot of the program: no calls of subprograms.
    pub relocations: Vec<Relocation>,
    /// Empty where a function has no type.
    pub funcs: Vec<FuncInfo>,
    pub lines: Vec<LineInfo>,
}

/// Puts a program together.
pub(crate) fn assemble(object: &Object, program: FunctionId) -> Result<Assembled, Error> {
    let pieces = place(object, program)?;
    let mut starts = vec![0; object.functions().len()];
    for (id, slot) in &pieces {
        starts[id.index()] = *slot;
    }
    let mut code = Vec::new();
    let mut relocations = Vec::new();
    for (id, start) in &pieces {
        let function = object.function(*id);
        code.extend_from_slice(&function.code);
        for relocation in &function.relocations {
            let slot = start + relocation.slot;
            let Some(instruction) = code.get_mut(slot as usize) else {
                continue;
            };
            match relocation.target {
                Target::Call(callee) | Target::FunctionAddress(callee) => {
                    let to: u32 = starts[callee.index()];
                    let is_call = matches!(relocation.target, Target::Call(_));
                    let pseudo = if is_call { PSEUDO_CALL } else { PSEUDO_FUNC };
                    set_source(instruction, pseudo);
                    instruction.imm = (i64::from(to) - i64::from(slot) - 1) as i32;
                    if !is_call && let Some(second) = code.get_mut(slot as usize + 1) {
                        second.imm = 0;
                    }
                }
                target => relocations.push(Relocation { slot, target }),
            }
        }
    }
    Ok(Assembled {
        code,
        relocations,
        funcs: funcs(object, &pieces),
        lines: lines(object, &pieces),
        pieces,
    })
}

/// As far as the offset of a call reaches, in slots. What is too long for a kernel is the kernel's to
/// say.
const MAX_SLOTS: u32 = i32::MAX as u32;

/// Where each function goes: callees follow in the order in which they are met, depth first.
fn place(object: &Object, program: FunctionId) -> Result<Vec<(FunctionId, u32)>, Error> {
    let mut seen = vec![false; object.functions().len()];
    let mut pieces = Vec::new();
    let mut end = 0u32;
    let mut add = |id: FunctionId, pieces: &mut Vec<_>| {
        pieces.push((id, end));
        end = end.saturating_add(object.function(id).code.len() as u32);
        end <= MAX_SLOTS
    };
    // Functions being walked, with the next relocation to look at.
    let mut walk = vec![(program, 0)];
    seen[program.index()] = true;
    let mut fits = add(program, &mut pieces);
    // Nobody calls the handler of exceptions: it comes when all that is called is there.
    let mut handler = exception_handler(object, program);
    loop {
        let Some((id, next)) = walk.last_mut() else {
            let Some(handler) = handler.take().filter(|id| !seen[id.index()]) else {
                break;
            };
            seen[handler.index()] = true;
            fits &= add(handler, &mut pieces);
            walk.push((handler, 0));
            continue;
        };
        let Some(relocation) = object.function(*id).relocations.get(*next) else {
            walk.pop();
            continue;
        };
        *next += 1;
        if let Target::Call(callee) | Target::FunctionAddress(callee) = relocation.target
            && !seen[callee.index()]
        {
            seen[callee.index()] = true;
            fits &= add(callee, &mut pieces);
            walk.push((callee, 0));
        }
    }
    match fits {
        true => Ok(pieces),
        false => Err(Error::TooLong {
            program: object.function(program).name.to_string(),
        }),
    }
}

/// The function that the program's first `exception_callback:NAME` tag names, if the object has it and
/// others may see it: what is not so, the kernel refuses.
fn exception_handler(object: &Object, program: FunctionId) -> Option<FunctionId> {
    let (btf, ty) = (object.btf()?, object.function(program).ty?);
    let tags = btf.decl_tags();
    let name = tags.value(ty, "exception_callback:")?;
    let named = |f: &Function| f.role == Role::Subprogram && f.global && &*f.name == name;
    let (id, _) = object
        .function_ids()
        .find(|(_, function)| named(function))?;
    Some(id)
}

/// Types of all functions, or none: the kernel wants all or nothing.
fn funcs(object: &Object, pieces: &[(FunctionId, u32)]) -> Vec<FuncInfo> {
    let info = |(id, slot): &(FunctionId, u32)| {
        Some(FuncInfo {
            slot: *slot,
            ty: object.function(*id).ty?,
        })
    };
    pieces
        .iter()
        .map(info)
        .collect::<Option<_>>()
        .unwrap_or_default()
}

fn lines(object: &Object, pieces: &[(FunctionId, u32)]) -> Vec<LineInfo> {
    let mut lines = Vec::new();
    for (id, start) in pieces {
        let function = object.function(*id);
        // The kernel wants the first instruction of every function to have a line.
        if function.lines.first().is_none_or(|l| l.slot != 0) {
            return Vec::new();
        }
        lines.extend(function.lines.iter().map(|l| LineInfo {
            slot: start + l.slot,
            file: l.file.clone(),
            text: l.text.clone(),
            line: l.line,
            column: l.column,
        }));
    }
    lines
}

/// Sets the source register, which says what an immediate means.
pub(crate) fn set_source(instruction: &mut Slot, source: u8) {
    instruction.registers = instruction.dst() | source << 4;
}
