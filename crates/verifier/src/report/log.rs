//! The log in Linux's manner.

use panal_isa::Style;
use panal_uapi::names::KernelNames;

use super::state_text;
use crate::{env::Env, state::State};

/// The instruction that comes now; with the state before it after a jump back to a branch that
/// waited, and at level 2.
pub fn log_step(env: &mut Env<'_>, st: &State, from_branch: bool) {
    let slot = env.slot;
    if from_branch && env.log.level2() && env.previous != usize::MAX {
        let text = state_text(env, st);
        let previous = env.previous;
        env.log
            .write(format_args!("\nfrom {previous} to {slot}:{text}\n"));
    } else if env.log.level2() {
        let text = state_text(env, st);
        env.log.write(format_args!("{slot}:{text}\n"));
    }
    log_line(env, slot);
    let Some(instruction) = env.program.get(slot).copied() else {
        return;
    };
    let request = env.request;
    let names = KernelNames {
        btf: Some(&request.profile.btf),
    };
    let style = Style {
        names: &names,
        ..Style::KERNEL
    };
    let text = instruction.text(Some(slot), style);
    env.log.write(format_args!("{slot}: {text}\n"));
}

fn log_line(env: &mut Env<'_>, slot: usize) {
    let Some(types) = env.request.types else {
        return;
    };
    let here = types.lines.partition_point(|l| l.slot as usize <= slot);
    let Some(line) = here.checked_sub(1).and_then(|i| types.lines.get(i)) else {
        return;
    };
    if line.slot as usize != slot && env.log.last_line == Some(here) {
        return;
    }
    if env.log.last_line == Some(here) {
        return;
    }
    env.log.last_line = Some(here);
    let file = line.file.rsplit('/').next().unwrap_or("");
    let (text, number) = (line.text.trim(), line.line);
    env.log.write(format_args!("; {text} @ {file}:{number}\n"));
}

/// The path was covered by an earlier one.
pub fn log_safe(env: &mut Env<'_>, from_branch: bool) {
    if !env.log.on() {
        return;
    }
    let (slot, previous) = (env.slot, env.previous);
    if from_branch && previous != usize::MAX {
        env.log
            .write(format_args!("\nfrom {previous} to {slot}: safe\n"));
    } else {
        env.log.write(format_args!("{slot}: safe\n"));
    }
}

/// A subprogram was entered.
pub fn log_call(env: &mut Env<'_>, st: &State) {
    let text = state_text(env, st);
    env.log.write(format_args!("caller:\ncallee:\n{text}\n"));
}

/// The last line of the log.
pub fn log_summary(env: &mut Env<'_>) {
    let s = &env.search;
    let (processed, total, peak, most) = (
        s.processed,
        s.total_states,
        s.peak_states,
        s.max_states_per_slot,
    );
    let limit = env.request.profile.limits.processed;
    env.log.always(format_args!(
        "processed {processed} insns (limit {limit}) max_states_per_insn {most} total_states {total} peak_states {peak} mark_read 0\n"
    ));
}
