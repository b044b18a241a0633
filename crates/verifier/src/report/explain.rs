//! From a check that failed to a rejection with its place and the way there.

use alloc::{string::String, vec::Vec};

use panal_isa::{Instruction, Style};
use panal_uapi::{
    names::KernelNames,
    report::{Note, Place, Rejection, Source},
};

use crate::{env::Env, error::Reject, state::State};

/// Branch decisions that are told, newest last.
const NOTES: usize = 6;
/// Instructions that are looked at for them.
const STEPS: usize = 10_000;

/// Adds the place and the newest branch decisions.
pub fn explain(env: &mut Env<'_>, reject: Reject) -> Rejection {
    let body = reject.into_body();
    env.log.always(format_args!("{}\n", body.linux));
    let reached = env.search.processed > 0;
    let place = reached.then(|| place(env, env.slot));
    let linux_message = body
        .linux
        .lines()
        .last()
        .map(String::from)
        .unwrap_or_default();
    let message = if body.message.is_empty() {
        body.linux.replace('\n', "; ")
    } else {
        body.message
    };
    Rejection {
        class: body.class,
        errno: body.errno,
        message,
        linux_message,
        place,
        notes: branches(env),
        help: body.help,
    }
}

/// An instruction with its source line.
pub fn place(env: &Env<'_>, slot: usize) -> Place {
    let names = KernelNames {
        btf: Some(&env.request.profile.btf),
    };
    let style = Style {
        names: &names,
        ..Style::LLVM
    };
    let instruction = env
        .program
        .get(slot)
        .map(|i| alloc::format!("{}", i.text(Some(slot), style)))
        .unwrap_or_default();
    Place {
        slot: slot as u32,
        instruction,
        source: source(env, slot),
    }
}

fn source(env: &Env<'_>, slot: usize) -> Option<Source> {
    let types = env.request.types?;
    let after = types.lines.partition_point(|l| l.slot as usize <= slot);
    let line = types.lines.get(after.checked_sub(1)?)?;
    Some(Source {
        file: line.file.clone(),
        line: line.line,
        column: line.column,
        text: line.text.clone(),
    })
}

/// The newest decisions of the path, oldest first.
fn branches(env: &Env<'_>) -> Vec<Note> {
    env.trail
        .iter()
        .rev()
        .map(|&(slot, taken)| {
            let text = if taken {
                "this condition holds"
            } else {
                "this condition does not hold"
            };
            Note {
                place: place(env, slot as usize),
                text: String::from(text),
            }
        })
        .collect()
}

/// The newest branch decisions on the way to a state at `env.slot`, newest first: whoever was
/// passed in a straight line was not taken, jumps stand in the history.
pub fn trail(env: &Env<'_>, st: &State) -> Vec<(u32, bool)> {
    let mut found = Vec::new();
    let mut at = env.slot as u32;
    let (mut entry, mut first, mut parent) = (st.history, st.first_slot, st.parent);
    for _ in 0..STEPS {
        let here = entry.map(|e| *env.search.entry(e)).filter(|e| e.slot == at);
        if at == first && here.is_none_or(|e| e.earlier.is_none()) {
            let Some(id) = parent else { break };
            let saved = &env.search.saved(id).state;
            if saved.last_slot == u32::MAX {
                break;
            }
            note_branch(env, saved.last_slot, at, &mut found);
            at = saved.last_slot;
            (entry, first, parent) = (saved.history, saved.first_slot, saved.parent);
        } else {
            let previous = match here {
                Some(e) => {
                    entry = e.earlier;
                    e.previous
                }
                None => at.wrapping_sub(1),
            };
            note_branch(env, previous, at, &mut found);
            at = previous;
        }
        if found.len() >= NOTES || at == u32::MAX {
            break;
        }
    }
    found
}

fn note_branch(env: &Env<'_>, slot: u32, next: u32, found: &mut Vec<(u32, bool)>) {
    if let Some(Instruction::Branch { .. }) = env.program.get(slot as usize) {
        found.push((slot, next != slot.wrapping_add(1)));
    }
}
