//! A function as rows of text: instructions, with names in the place of what relocations will fill.

use std::collections::BTreeSet;

use panal_isa::{CallTarget, Code, Imm64, Instruction, Style};
use panal_object::{Function, Line, Object, Target};
use panal_uapi::names::KernelNames;

use super::Subject;
use crate::{error::Problem, text::clean};

/// One instruction.
pub struct Row<'o> {
    /// Slot within the function.
    pub slot: usize,
    pub instruction: Instruction,
    /// As text, with names.
    pub text: String,
    /// Where it jumps to, within the function.
    pub target: Option<usize>,
    /// The source line that begins here.
    pub line: Option<&'o Line>,
}

/// Says of each source line once: many instructions in a row come from the same one.
#[derive(Default)]
pub struct Lines<'o>(Option<(&'o str, u32)>);

impl<'o> Lines<'o> {
    /// The row's source line, if it is another than that of the row before.
    pub fn change(&mut self, row: &Row<'o>) -> Option<&'o Line> {
        let line = row.line?;
        let here = Some((&*line.file, line.line));
        (std::mem::replace(&mut self.0, here) != here).then_some(line)
    }
}

/// A function's rows.
pub struct Listing<'o> {
    pub code: Code,
    pub rows: Vec<Row<'o>>,
    /// Slots that something jumps to.
    pub targets: BTreeSet<usize>,
}

/// Reads a function's code.
pub fn read<'o>(subject: &Subject<'o>, function: &'o Function) -> Result<Listing<'o>, Problem> {
    let code = Code::decode(&function.code).map_err(|error| {
        let path = subject.path.display();
        Problem::Asked(format!("{path}: function {}: {error}", function.name))
    })?;
    let style = Style {
        names: &KernelNames::default(),
        ..Style::LLVM
    };
    let rows: Vec<Row<'o>> = code
        .iter()
        .map(|(slot, instruction)| Row {
            slot,
            instruction: *instruction,
            text: related(subject.object, function, slot, instruction)
                .unwrap_or_else(|| instruction.text(Some(slot), style).to_string()),
            target: code.target(slot),
            line: crate::object::line_at(function, slot as u32),
        })
        .collect();
    let targets = rows.iter().filter_map(|row| row.target).collect();
    Ok(Listing {
        code,
        rows,
        targets,
    })
}

/// The text of an instruction that a relocation will change.
fn related(
    object: &Object,
    function: &Function,
    slot: usize,
    instruction: &Instruction,
) -> Option<String> {
    let relocation = function
        .relocations
        .iter()
        .find(|r| r.slot as usize == slot)?;
    let name = target_name(object, relocation.target);
    match (instruction, relocation.target) {
        (Instruction::LoadImm64 { dst, imm }, target) => {
            // An offset into a function or a map's first value stands in the immediate.
            let rest = match (target, imm) {
                (Target::Data { .. } | Target::FunctionAddress(_), _) => 0,
                (_, Imm64::Value(value)) => *value,
                _ => 0,
            };
            let plus = if rest == 0 {
                String::new()
            } else {
                format!("+{rest}")
            };
            Some(clean(&format!("{dst} = {name}{plus} ll")).into_owned())
        }
        (Instruction::Call(CallTarget::Local(_) | CallTarget::Kfunc { .. }), _)
        | (Instruction::Call(CallTarget::Helper(_)), Target::Kfunc(_)) => {
            Some(clean(&format!("call {name}")).into_owned())
        }
        _ => None,
    }
}

/// What a relocation refers to, as assembly names it.
pub fn target_name(object: &Object, target: Target) -> String {
    match target {
        Target::Map(map) => format!("map[{}]", object.map(map).name),
        Target::Data { map, offset } => format!("map[{}][0]+{offset}", object.map(map).name),
        Target::Call(function) => object.function(function).name.to_string(),
        Target::FunctionAddress(function) => {
            format!("subprog[{}]", object.function(function).name)
        }
        Target::Extern(external) => format!("extern[{}]", object.external(external).name),
        Target::Kfunc(external) => object.external(external).name.to_string(),
    }
}
