//! The log in Linux's manner.

use alloc::{
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};

use panal_isa::{CallTarget, Imm64, Instruction, Operand, Reg, Style};
use panal_uapi::names::KernelNames;

use super::state_text::{Wanted, frame_text, state_text};
use crate::{
    env::{Env, Touched},
    explore::StateId,
    program::Program,
    state::{Frame, RegKind, SlotType, State, slot_index},
};

/// The instruction that comes now. What the one before it had to do with is printed beside that.
pub fn log_step(env: &mut Env<'_>, st: &State, from_branch: bool) {
    let slot = env.slot;
    touch_changed(env, st);
    let from_branch = from_branch && env.previous != usize::MAX;
    let returned = core::mem::take(&mut env.log.returned);
    if from_branch || returned {
        match returned {
            true => env.log.touched = Touched::default(),
            false => env.log.touched.everything(),
        }
        if env.log.level2() {
            let (text, previous) = (state_text(env, st), env.previous);
            env.log
                .write(format_args!("\nfrom {previous} to {slot}:{text}\n"));
        }
    }
    log_touched(env, st, from_branch);
    log_line(env, slot);
    let Some(instruction) = env.program.get(slot).copied() else {
        return;
    };
    let text = instruction_text(env, slot, &instruction);
    let start = env.log.len();
    env.log.write(format_args!("{slot}: {text}\n"));
    env.log.instruction = (start, env.log.len());
    touch(env, st, &instruction);
}

/// An instruction as Linux prints it; the addresses of maps as to those who may not see them.
fn instruction_text(env: &Env<'_>, slot: usize, instruction: &Instruction) -> String {
    let names = KernelNames {
        btf: Some(&env.request.profile.btf),
    };
    let style = Style {
        names: &names,
        ..Style::KERNEL
    };
    let shown = match *instruction {
        Instruction::LoadImm64 {
            dst,
            imm: Imm64::MapIndex(_) | Imm64::MapIndexValue { .. },
        } => Instruction::LoadImm64 {
            dst,
            imm: Imm64::Value(0),
        },
        Instruction::LoadImm64 {
            dst,
            imm: Imm64::Func(distance),
        } => Instruction::LoadImm64 {
            dst,
            imm: Imm64::Value(u64::from(distance as u32)),
        },
        other => other,
    };
    shown.text(Some(slot), style).to_string()
}

/// Where functions begin.
pub fn functions(program: &Program) -> String {
    let starts = program.subprograms.iter().map(|sub| sub.start).enumerate();
    starts
        .map(|(index, start)| alloc::format!("func#{index} @{start}\n"))
        .collect()
}

/// What is said at level 2 before the search: where functions begin, which registers live.
pub fn log_program(env: &mut Env<'_>) {
    if !env.log.level2() {
        return;
    }
    let functions = functions(&env.program);
    env.log.write(format_args!("{functions}"));
    if !env.since(6, 16) {
        return;
    }
    env.log.write(format_args!("Live regs before insn:\n"));
    for slot in 0..env.program.len() {
        let Some(instruction) = env.program.get(slot).copied() else {
            continue;
        };
        let aux = env.aux[slot];
        let letters: String = (0..10u8)
            .map(|n| match aux.live_regs & (1 << n) {
                0 => '.',
                _ => char::from(b'0' + n),
            })
            .collect();
        let component = match aux.scc {
            _ if aux.loops_by_callback => String::from("    "),
            0 => String::from("    "),
            scc => alloc::format!("{scc:>3} "),
        };
        let text = instruction_text(env, slot, &instruction);
        env.log
            .write(format_args!("{component}{slot:>3}: {letters} {text}\n"));
    }
}

/// What was touched since a state was printed.
fn log_touched(env: &mut Env<'_>, st: &State, from_branch: bool) {
    let wanted = Wanted {
        regs: env.log.touched.regs,
        slots: env.log.touched.slots,
        ..Wanted::ALL
    };
    if wanted.regs == 0 && wanted.slots == 0 {
        return;
    }
    let text = frame_text(env, st, st.level(), wanted);
    // A jump prints its own state.
    let is_jump = matches!(
        env.program.get(env.previous),
        Some(Instruction::Branch { .. })
    );
    let slot = match is_jump && !from_branch {
        true => env.previous,
        false => env.slot,
    };
    if env.log.beside() {
        env.log.write(format_args!("{text}\n"));
    } else {
        env.log.write(format_args!("{slot}:{text}\n"));
    }
    env.log.touched = Touched::default();
}

/// Slots of the stack that the instruction before changed.
fn touch_changed(env: &mut Env<'_>, st: &State) {
    let Some((level, before)) = env.log.touched.before.take() else {
        return;
    };
    let Some(now) = st.frames.get(level) else {
        return;
    };
    if level != st.level() || Rc::ptr_eq(&before, now) {
        return;
    }
    for index in 0..before.stack.len().max(now.stack.len()).min(64) {
        let types = |frame: &Frame| {
            frame
                .stack
                .get(index)
                .map(|slot| (slot.types, slot.reg.kind))
        };
        let (was, is) = (types(&before), types(now));
        // What a kernel function fills is not told, only what it makes there.
        let told = !env.log.touched.by_kfunc
            || [was, is]
                .iter()
                .flatten()
                .any(|(types, _)| is_object(types));
        if was != is && told {
            env.log.touched.slots |= 1 << index;
        }
    }
}

/// What an instruction has to do with: what it reads and writes.
fn touch(env: &mut Env<'_>, st: &State, instruction: &Instruction) {
    let bit = |reg: Reg| 1u16 << reg.number();
    let operand = |src: &Operand| match src {
        Operand::Reg(reg) => bit(*reg),
        Operand::Imm(_) => 0,
    };
    let (mut slot, mut by_kfunc, mut objects) = (None, false, 0);
    let regs = match instruction {
        Instruction::Alu { dst, src, .. } => bit(*dst) | operand(src),
        Instruction::Branch { dst, src, .. } => bit(*dst) | operand(src),
        Instruction::Neg { dst, .. }
        | Instruction::Endian { dst, .. }
        | Instruction::LoadImm64 { dst, .. } => bit(*dst),
        Instruction::MovSx { dst, src, .. } | Instruction::AddrSpaceCast { dst, src, .. } => {
            bit(*dst) | bit(*src)
        }
        Instruction::Load {
            dst, base, offset, ..
        } => {
            slot = Some((*base, *offset));
            bit(*dst) | bit(*base)
        }
        Instruction::Store {
            base, src, offset, ..
        } => {
            slot = Some((*base, *offset));
            bit(*base) | operand(src)
        }
        Instruction::Atomic {
            base, src, offset, ..
        } => {
            slot = Some((*base, *offset));
            bit(*base) | bit(*src)
        }
        Instruction::PacketLoad { .. } => bit(Reg::R0) | bit(Reg::R6),
        // What calls take is gone afterwards.
        Instruction::Call(CallTarget::Local(_)) => {
            let callee = env.program.callee(env.slot);
            let callee = callee.and_then(|sub| env.program.subprograms.get(sub as usize));
            // What a global function fills is not told, as of a kernel function.
            by_kfunc = callee.is_some_and(|sub| sub.global);
            if by_kfunc { 0b11_1111 } else { 0 }
        }
        Instruction::Call(target) => {
            by_kfunc = matches!(target, CallTarget::Kfunc { .. });
            objects = objects_passed(st);
            0b11_1111
        }
        Instruction::Exit => bit(Reg::R0),
        _ => 0,
    };
    let touched = &mut env.log.touched;
    touched.regs |= regs;
    touched.slots |= objects;
    touched.by_kfunc = by_kfunc;
    if let Some((base, offset)) = slot
        && let base = st.reg(base)
        && matches!(base.kind, RegKind::Stack { frame } if usize::from(frame) == st.level())
        && let Some(var) = base.num.as_const()
        && let Some(index) = slot_index(base.off + i32::from(offset) + var as i32)
    {
        touched.slots |= 1 << (index & 63);
    }
    touched.before = Some((st.level(), Rc::clone(&st.frames[st.level()])));
}

/// A dynptr, iterator or the like.
fn is_object(types: &[SlotType; 8]) -> bool {
    use SlotType::{Dynptr, IrqFlag, Iter};
    types.iter().any(|t| matches!(t, Dynptr | Iter | IrqFlag))
}

/// The slots of the innermost frame with dynptrs and the like to which arguments point.
fn objects_passed(st: &State) -> u64 {
    let mut slots = 0;
    for reg in [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5] {
        let reg = st.reg(reg);
        let here = matches!(reg.kind, RegKind::Stack { frame } if usize::from(frame) == st.level());
        let at = reg
            .num
            .as_const()
            .filter(|_| here)
            .map(|v| reg.off + v as i32);
        let Some(last) = at.and_then(slot_index) else {
            continue;
        };
        // From the address on, while they are objects of the same kind.
        let kind = |index: usize| st.frame().stack.get(index).map(|slot| slot.types[7]);
        let first = kind(last);
        for index in (0..=last.min(63)).rev() {
            let same = kind(index) == first
                && st
                    .frame()
                    .stack
                    .get(index)
                    .is_some_and(|slot| is_object(&slot.types));
            if !same {
                break;
            }
            slots |= 1 << index;
        }
    }
    slots
}

fn log_line(env: &mut Env<'_>, slot: usize) {
    let Some(types) = env.request.types else {
        return;
    };
    let here = types.lines.partition_point(|l| l.slot as usize <= slot);
    let Some(index) = here.checked_sub(1) else {
        return;
    };
    let Some(line) = types.lines.get(index) else {
        return;
    };
    let same = |last: usize| {
        last == index
            || types
                .lines
                .get(last)
                .is_some_and(|last| last.file == line.file && last.line == line.line)
    };
    if env.log.last_line.is_some_and(same) {
        return;
    }
    env.log.last_line = Some(index);
    let file = line.file.rsplit('/').next().unwrap_or("");
    let (text, number) = (line.text.trim_start(), line.line);
    env.log.write(format_args!("; {text} @ {file}:{number}\n"));
}

/// The path was covered by an earlier one.
pub fn log_safe(env: &mut Env<'_>, from_branch: bool) {
    if !env.log.on() {
        return;
    }
    let (slot, previous) = (env.slot, env.previous);
    let from_branch = core::mem::take(&mut env.log.returned) || from_branch;
    if from_branch && previous != usize::MAX {
        env.log
            .write(format_args!("\nfrom {previous} to {slot}: safe\n"));
    } else {
        env.log.write(format_args!("{slot}: safe\n"));
    }
}

/// A loop is entered or left, or a path ends in it.
pub fn log_loop(env: &mut Env<'_>, what: &str, visit: u32) {
    let visit = &env.search.loops[visit as usize];
    // Linux knows only of loops by jumps.
    if !env.log.level2() || visit.by_callback || !env.since(6, 17) {
        return;
    }
    let key = visit.key;
    let calls = key.calls.iter().take(usize::from(key.depth));
    let chain: Vec<String> = calls
        .chain([&key.component])
        .map(ToString::to_string)
        .collect();
    let chain = chain.join(",");
    env.log.write(format_args!("SCC {what} ({chain})\n"));
}

/// The line of the source at which the path is: before what is said of it.
pub fn log_here(env: &mut Env<'_>) {
    if env.log.on() {
        log_line(env, env.slot);
    }
}

/// A walk back through a stretch of the path begins, for numbers that matter exactly.
pub fn log_segment(env: &mut Env<'_>, frame: usize, last: u32, first: u32, later: Option<u32>) {
    if !env.log.level2() {
        return;
    }
    let later = later.map_or(-1, i64::from);
    env.log.write(format_args!(
        "mark_precise: frame{frame}: last_idx {last} first_idx {first} subseq_idx {later} \n"
    ));
}

/// An instruction that such a walk looks at, and what is wanted before it.
pub fn trace_step(env: &Env<'_>, out: &mut String, slot: u32, frame: usize, regs: u16, slots: u64) {
    let Some(instruction) = env.program.get(slot as usize) else {
        return;
    };
    let text = instruction_text(env, slot as usize, instruction);
    let (regs, slots) = (register_list(regs), slot_list(slots));
    out.push_str(&alloc::format!(
        "mark_precise: frame{frame}: regs={regs} stack={slots} before {slot}: {text}\n"
    ));
}

/// A saved state that such a walk comes to, and what is wanted there for the first time.
pub fn log_marked(env: &mut Env<'_>, id: StateId, frame: usize, regs: u16, slots: u64) {
    let saved = env.search.saved(id);
    if frame >= saved.state.frames.len() {
        return;
    }
    let precise = saved.precise.get(frame).copied().unwrap_or_default();
    let wanted = Wanted {
        precise,
        ..Wanted::ALL
    };
    let Some(whole) = saved.state.whole() else {
        return;
    };
    let state = frame_text(env, &whole, frame, wanted);
    let (regs, slots) = (register_list(regs), slot_list(slots));
    env.log.write(format_args!(
        "mark_precise: frame{frame}: parent state regs={regs} stack={slots}: {state}\n"
    ));
}

/// What matters in a state that covers this path matters on this path.
pub fn log_propagated(env: &mut Env<'_>, frame: usize, regs: u16, slots: u64) {
    let mut places: Vec<String> = Vec::new();
    if regs != 0 {
        places.push(register_list(regs));
    }
    places.extend(offsets(slots).map(|off| alloc::format!("fp{off}")));
    if !places.is_empty() {
        let places = places.join(",");
        env.log
            .write(format_args!("frame {frame}: propagating {places}\n"));
    }
}

/// `r1,r2`
fn register_list(regs: u16) -> String {
    let named = (0..10u8).filter(|n| regs & (1 << n) != 0);
    let names: Vec<String> = named.map(|n| alloc::format!("r{n}")).collect();
    names.join(",")
}

fn offsets(slots: u64) -> impl Iterator<Item = i32> {
    (0..64)
        .filter(move |n| slots & (1 << n) != 0)
        .map(|n| (n + 1) * -8)
}

/// `-8,-16`
fn slot_list(slots: u64) -> String {
    let names: Vec<String> = offsets(slots).map(|off| alloc::format!("{off}")).collect();
    names.join(",")
}

/// A subprogram was entered.
pub fn log_call(env: &mut Env<'_>, st: &State) {
    let level = st.level();
    let caller = frame_text(env, st, level.saturating_sub(1), Wanted::ALL);
    let callee = frame_text(env, st, level, Wanted::ALL);
    env.log
        .write(format_args!("caller:\n{caller}\ncallee:\n{callee}\n"));
    env.log.touched.everything();
}

/// A subprogram was left: the state before.
pub fn log_return(env: &mut Env<'_>, before: &State, after: &State) {
    if !env.log.on() {
        return;
    }
    let callee = frame_text(env, before, before.level(), Wanted::ALL);
    let caller = frame_text(env, after, after.level(), Wanted::ALL);
    let call = before.frame().call_slot;
    let back = match before.frame().callback {
        None => call + 1,
        Some(_) => call,
    };
    env.log.returned = true;
    env.log.write(format_args!(
        "returning from callee:\n{callee}\nto caller at {back}:\n{caller}\n"
    ));
}

/// A walk begins.
pub fn log_start(env: &mut Env<'_>) {
    env.log.touched.everything();
    env.log.last_line = None;
    env.log.returned = false;
}

/// What a search has counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    processed: u64,
    total: u64,
    peak: u64,
    most: u64,
}

/// The last line of the log.
pub fn figures(limit: u64, figures: &Figures) -> String {
    let Figures {
        processed,
        total,
        peak,
        most,
    } = figures;
    alloc::format!(
        "processed {processed} insns (limit {limit}) max_states_per_insn {most} total_states {total} peak_states {peak} mark_read 0\n"
    )
}

/// The end of the log.
pub fn log_summary(env: &mut Env<'_>) {
    let s = &env.search;
    let counted = Figures {
        processed: s.processed,
        total: s.total_states,
        peak: s.peak_states,
        most: s.max_states_per_slot,
    };
    let limit = env.request.profile.limits.processed;
    if env.log.stats() {
        let depths: Vec<String> = env
            .program
            .subprograms
            .iter()
            .map(|sub| alloc::format!("{}", sub.stack_depth))
            .collect();
        env.log
            .always(format_args!("stack depth {}\n", depths.join("+")));
    }
    let line = figures(limit, &counted);
    env.log.always(format_args!("{line}"));
}
