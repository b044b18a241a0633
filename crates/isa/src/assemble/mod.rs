//! From text to slots: one instruction a line, in either dialect that the disassembler prints.
//!
//! Beside the instructions themselves:
//! - labels: `name:`, alone or before an instruction; `goto name`, `call name`, `r1 = subprog[name] ll`;
//! - comments: `;` and `//` anywhere, `#` at the start of a line or after a space;
//! - maps: `r1 = map[name] ll` and `r1 = map[name][0]+8 ll`, resolved by [`Symbols`];
//! - what disassemblers put around an instruction is skipped: `12: (bf)` and `12: bf 16 00 …` in
//!   front, `<.text+0x68>` behind.

mod error;
mod line;
mod scan;
mod value;

use alloc::{borrow::ToOwned, collections::BTreeMap, string::String, vec::Vec};

pub use error::{AssembleError, AssembleErrorKind};

use crate::{CallTarget, Imm64, Instruction, Slot};
use line::{Parsed, Pending};

/// Who knows the names that stand in the text.
pub trait Symbols {
    /// What to load for a map: [`Imm64::MapFd`] or [`Imm64::MapIndex`].
    fn map(&mut self, _name: &str) -> Option<Imm64> {
        None
    }

    /// Number of a helper.
    fn helper(&mut self, _name: &str) -> Option<u32> {
        None
    }

    /// BTF id and descriptor index of a kernel function.
    fn kfunc(&mut self, _name: &str) -> Option<(i32, i16)> {
        None
    }
}

/// Nobody: every name but labels is an error.
impl Symbols for () {}

/// Maps by a closure.
pub struct Maps<F>(pub F);

impl<F: FnMut(&str) -> Option<Imm64>> Symbols for Maps<F> {
    fn map(&mut self, name: &str) -> Option<Imm64> {
        (self.0)(name)
    }
}

/// What assembling gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assembled {
    /// The code.
    pub slots: Vec<Slot>,
    /// For every slot, the line of the text it came from, from 1.
    pub lines: Vec<u32>,
    /// Labels and their slots; one past the last slot when nothing follows.
    pub labels: BTreeMap<String, usize>,
}

/// Assembles a text.
///
/// # Errors
/// The first line that is no instruction, with the column; labels that are missing or given twice;
/// numbers that do not fit their field.
pub fn assemble(text: &str, symbols: &mut dyn Symbols) -> Result<Assembled, AssembleError> {
    let mut out = Assembled::default();
    let mut pending = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let number = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        let parsed = line::parse(raw, symbols).map_err(|e| e.at_line(number, raw))?;
        for (label, column) in &parsed.labels {
            if out
                .labels
                .insert((*label).to_owned(), out.slots.len())
                .is_some()
            {
                let kind = AssembleErrorKind::DuplicateLabel((*label).to_owned());
                return Err(kind.at(*column).at_line(number, raw));
            }
        }
        if let Some(todo) = emit(&mut out, &parsed, number) {
            pending.push((todo, number, raw));
        }
    }
    for ((slot, instruction, wanted), number, raw) in pending {
        resolve(&mut out, slot, instruction, &wanted).map_err(|e| e.at_line(number, raw))?;
    }
    Ok(out)
}

type Unresolved<'t> = (usize, Instruction, Pending<'t>);

/// Appends a line's instruction; what must wait for a label is returned.
fn emit<'t>(out: &mut Assembled, parsed: &Parsed<'t>, line: u32) -> Option<Unresolved<'t>> {
    let instruction = parsed.instruction?;
    let slot = out.slots.len();
    instruction.encode_to(&mut out.slots);
    out.lines.resize(out.slots.len(), line);
    parsed.pending.map(|pending| (slot, instruction, pending))
}

fn resolve(
    out: &mut Assembled,
    slot: usize,
    mut instruction: Instruction,
    wanted: &Pending<'_>,
) -> Result<(), error::Here> {
    let name = wanted.label;
    let Some(&target) = out.labels.get(name) else {
        return Err(AssembleErrorKind::UnknownLabel(name.to_owned()).at(wanted.column));
    };
    let distance = target as i64 - slot as i64 - 1;
    let wide = i32::try_from(distance);
    let narrow = i16::try_from(distance);
    let fits = match &mut instruction {
        Instruction::Jump { offset, long: true }
        | Instruction::Call(CallTarget::Local(offset))
        | Instruction::LoadImm64 {
            imm: Imm64::Func(offset),
            ..
        } => wide.map(|value| *offset = value).is_ok(),
        Instruction::Jump {
            offset,
            long: false,
        } => narrow.map(|value| *offset = i32::from(value)).is_ok(),
        Instruction::Branch { offset, .. } | Instruction::MayGoto { offset } => {
            narrow.map(|value| *offset = value).is_ok()
        }
        _ => true,
    };
    if !fits {
        let kind = AssembleErrorKind::LabelTooFar {
            label: name.to_owned(),
            distance,
        };
        return Err(kind.at(wanted.column));
    }
    let (first, second) = instruction.encode();
    for (place, value) in out.slots.iter_mut().skip(slot).zip([Some(first), second]) {
        if let Some(value) = value {
            *place = value;
        }
    }
    Ok(())
}
