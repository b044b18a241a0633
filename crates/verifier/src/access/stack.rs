//! Loads and stores on the stack.

use alloc::{rc::Rc, string::ToString};

use panal_isa::Reg;
use panal_uapi::report::Quantity;

use super::{
    AccessKind, helper_range,
    memory::{Stored, bits_text},
};
use crate::{
    calls::stack_objects,
    env::Env,
    error::{Check, reject},
    explore::{self, Linked},
    precision,
    state::{Frame, RegKind, RegState, SlotType, StackSlot, State},
    transfer::{link_before_copy, unlink, width_of},
};

/// Bytes of a frame.
pub const FRAME_SIZE: i64 = 512;
const MAX_OFFSET: i64 = 1 << 29;

/// Least and greatest offset from the frame pointer of the first byte that is accessed.
fn reach(reg: &RegState, off: i32) -> (i64, i64) {
    let fixed = i64::from(reg.off) + i64::from(off);
    match reg.num.as_const() {
        Some(var) => {
            let at = (var as i64).saturating_add(fixed);
            (at, at)
        }
        None => (
            reg.num.smin.saturating_add(fixed),
            reg.num.smax.saturating_add(fixed),
        ),
    }
}

/// Frame that a stack pointer points to.
pub fn frame_of(reg: &RegState) -> usize {
    match reg.kind {
        RegKind::Stack { frame } => usize::from(frame),
        _ => 0,
    }
}

/// Who accesses the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// An instruction.
    Program,
    /// A helper, through a pointer that it is given.
    Helper,
}

/// Checks that the access lies within the frame, and makes room.
///
/// # Errors
/// It does not.
pub fn check_bounds(
    env: &mut Env<'_>,
    st: &mut State,
    base: Reg,
    off: i32,
    size: u32,
    access: AccessKind,
    by: By,
) -> Check {
    let reg = *st.reg(base);
    let n = base.number();
    let words = match access {
        _ if by == By::Helper && !env.since(6, 13) => " indirect access to",
        AccessKind::Read => " read from",
        AccessKind::Write => " write to",
    };
    let is_const = reg.num.is_const();
    if !is_const && (reg.num.smax >= MAX_OFFSET || reg.num.smin <= -MAX_OFFSET) {
        return Err(reject!(
            Stack,
            EACCES,
            "invalid unbounded variable-offset{words} stack R{n}"
        )
        .because("the index into the stack has no bound")
        .help("bound the index before it is added to the pointer")
        .bound(
            Quantity::Offset,
            reach(&reg, off),
            (-FRAME_SIZE, -i64::from(size)),
        ));
    }
    let (min, max) = reach(&reg, off);
    let end = max.saturating_add(i64::from(size));
    if !(-FRAME_SIZE..0).contains(&min) || end > 0 {
        let text = if is_const {
            alloc::format!("invalid{words} stack R{n} off={min} size={size}")
        } else {
            alloc::format!(
                "invalid variable-offset{words} stack R{n} var_off={} off={} size={size}",
                bits_text(reg.num.bits),
                i64::from(reg.off) + i64::from(off)
            )
        };
        let rejection = if (-FRAME_SIZE..0).contains(&min) {
            reject!(Stack, EINVAL, "{text}")
        } else {
            reject!(Stack, EACCES, "{text}")
        };
        return Err(rejection
            .because(alloc::format!(
                "{} at offset {} from the frame pointer, outside of the stack frame (-512 to 0)",
                match size {
                    1 => "a byte is accessed".to_string(),
                    size => alloc::format!("{size} bytes are accessed"),
                },
                if min < -FRAME_SIZE { min } else { max }
            ))
            .bound(
                Quantity::Offset,
                (min, max),
                (-FRAME_SIZE, -i64::from(size)),
            ));
    }
    let frame = frame_of(&reg);
    let depth = (-min) as u32;
    let slots = depth.div_ceil(8) as usize;
    if st.frames[frame].stack.len() < slots {
        st.frame_at_mut(frame).stack.grow(slots);
    }
    let sub = st.frames[frame].subprog as usize;
    if let Some(sub) = env.program.subprograms.get_mut(sub) {
        sub.stack_depth = sub.stack_depth.max(depth);
    }
    Ok(())
}

/// A load from the stack.
pub fn read(
    env: &mut Env<'_>,
    st: &mut State,
    base: Reg,
    off: i32,
    size: u32,
    wanted: bool,
) -> Check<RegState> {
    let reg = *st.reg(base);
    let written = -(st.frames[frame_of(&reg)].stack.len() as i64) * 8;
    check_bounds(env, st, base, off, size, AccessKind::Read, By::Program)?;
    let (min, _) = reach(&reg, off);
    if min < written && !env.sees_addresses() {
        let n = base.number();
        return Err(reject!(
            Stack,
            EACCES,
            "invalid read from stack R{n} off={min} size={size}"
        )
        .because("this part of the stack was never written"));
    }
    if reg.num.is_const() {
        let (at, _) = reach(&reg, off);
        return read_fixed(env, st, frame_of(&reg), at as i32, size, wanted);
    }
    if !wanted {
        return Err(reject!(
            Stack,
            EACCES,
            "variable offset stack pointer cannot be passed into helper function; var_off={} off={off} size={size}",
            bits_text(reg.num.bits)
        ));
    }
    helper_range::check_stack(env, st, base, off, size, AccessKind::Read, false, None)?;
    let (min, max) = reach(&reg, off);
    let zeros = bytes_of(&st.frames[frame_of(&reg)], min, max + i64::from(size))
        .all(|t| t == SlotType::Zero);
    Ok(if zeros {
        RegState::constant(0)
    } else {
        RegState::UNKNOWN
    })
}

/// The types of the bytes from `from` up to `to`.
fn bytes_of(frame: &Frame, from: i64, to: i64) -> impl Iterator<Item = SlotType> + '_ {
    (from..to).map(|at| byte(frame, at as i32))
}

/// Type of one byte.
fn byte(frame: &Frame, at: i32) -> SlotType {
    let index = (-1 - at) as usize;
    frame
        .stack
        .get(index / 8)
        .map_or(SlotType::Invalid, |s| s.types[index % 8])
}

fn read_fixed(
    env: &mut Env<'_>,
    st: &mut State,
    frame: usize,
    at: i32,
    size: u32,
    wanted: bool,
) -> Check<RegState> {
    let index = ((-1 - at) / 8) as usize;
    env.liveness.read(env.slot, frame, index);
    let slot = st.frames[frame].stack[index];
    if !slot.is_spilled() {
        check_readable(env, &st.frames[frame], at, size)?;
        let zero = bytes_of(
            &st.frames[frame],
            at.into(),
            i64::from(at) + i64::from(size),
        )
        .all(|t| t == SlotType::Zero);
        return Ok(if zero {
            RegState::constant(0)
        } else {
            RegState::UNKNOWN
        });
    }
    let spill_size = slot
        .types
        .iter()
        .rev()
        .take_while(|&&t| t == SlotType::Spill)
        .count() as u32;
    let mut value = slot.reg;
    if size == 8 && spill_size == 8 {
        if wanted {
            link_before_copy(env, &mut value);
            set_slot_reg(st, frame, index, &value);
        } else if env.is_secret(&value) {
            return Err(reject!(Leak, EACCES, "leaking pointer from stack off {at}")
                .because("an address lies on the stack, and is used as a number here"));
        }
    } else {
        if !value.is_scalar() {
            return Err(reject!(Stack, EACCES, "invalid size of register fill")
                .because("a pointer was spilled here, and only a part of it is read"));
        }
        if !wanted {
            return Ok(RegState::UNKNOWN);
        }
        if size <= spill_size && at % 8 == 0 {
            if size == 4 && spill_size == 4 && width_of(&value.num) <= 32 {
                link_before_copy(env, &mut value);
                set_slot_reg(st, frame, index, &value);
            }
            if width_of(&value.num) > size * 8 {
                unlink(&mut value);
            }
        } else {
            match part_of_spill(env, &st.frames[frame], &slot, at, size)? {
                Part::Restored => value = RegState::constant(0),
                Part::Zero => return Ok(RegState::constant(0)),
                Part::Unknown => return Ok(RegState::UNKNOWN),
            }
        }
    }
    explore::record(env, st, Some((frame as u8, index as u8)), Linked::default());
    Ok(value)
}

enum Part {
    /// Part of a register that is zero: whether it is matters.
    Restored,
    /// Bytes that are zero.
    Zero,
    /// Anything.
    Unknown,
}

fn part_of_spill(
    env: &Env<'_>,
    frame: &Frame,
    slot: &StackSlot,
    at: i32,
    size: u32,
) -> Check<Part> {
    check_readable_or_spilled(env, frame, at, size)?;
    let count = |wanted: SlotType| {
        bytes_of(frame, at.into(), i64::from(at) + i64::from(size))
            .filter(|&t| t == wanted)
            .count() as u32
    };
    if count(SlotType::Spill) == size && slot.reg.num.as_const() == Some(0) {
        return Ok(Part::Restored);
    }
    Ok(if count(SlotType::Zero) == size {
        Part::Zero
    } else {
        Part::Unknown
    })
}

fn check_readable(env: &Env<'_>, frame: &Frame, at: i32, size: u32) -> Check {
    for i in 0..size as i32 {
        match byte(frame, at + i) {
            SlotType::Misc | SlotType::Zero => {}
            SlotType::Invalid if env.sees_addresses() => {}
            _ => return Err(unreadable(at, i, size)),
        }
    }
    Ok(())
}

fn check_readable_or_spilled(env: &Env<'_>, frame: &Frame, at: i32, size: u32) -> Check {
    for i in 0..size as i32 {
        let kind = byte(frame, at + i);
        let left_over = kind == SlotType::Invalid && !env.sees_addresses();
        if kind.is_special() || left_over {
            return Err(unreadable(at, i, size));
        }
    }
    Ok(())
}

#[cold]
fn unreadable(at: i32, i: i32, size: u32) -> crate::error::Reject {
    reject!(
        Stack,
        EACCES,
        "invalid read from stack off {at}+{i} size {size}"
    )
    .because(alloc::format!(
        "these bytes of the stack (offset {at}) may not be read as they are"
    ))
}

fn set_slot_reg(st: &mut State, frame: usize, index: usize, value: &RegState) {
    if st.frames[frame].stack[index].reg.id != value.id {
        Rc::make_mut(&mut st.frames[frame]).stack[index].reg = *value;
    }
}

/// A store to the stack.
pub fn write(
    env: &mut Env<'_>,
    st: &mut State,
    base: Reg,
    off: i32,
    size: u32,
    stored: Stored,
) -> Check {
    check_bounds(env, st, base, off, size, AccessKind::Write, By::Program)?;
    let reg = *st.reg(base);
    let (min, max) = reach(&reg, off);
    let frame = frame_of(&reg);
    if reg.num.is_const() {
        write_fixed(env, st, frame, min as i32, size, stored)
    } else {
        write_variable(env, st, frame, (min, max + i64::from(size)), stored)
    }
}

/// Makes bytes unknown where a slot holds nothing but bytes: up to `most` from `off`, as far as the
/// slot goes. How many; 0 elsewhere. Their bounds were checked.
pub fn overwrite_plain(st: &mut State, base: Reg, off: i32, most: u32) -> u32 {
    let reg = st.reg(base);
    let (at, _) = reach(reg, off);
    let frame = frame_of(reg);
    // Addresses go up, indices down.
    let index = (-1 - at) as usize;
    let is_bytes = |t: &SlotType| matches!(t, SlotType::Invalid | SlotType::Misc | SlotType::Zero);
    let Some(slot) = st.frames[frame].stack.get(index / 8) else {
        return 0;
    };
    if !reg.num.is_const() || !slot.types.iter().all(is_bytes) {
        return 0;
    }
    let last = index % 8;
    let first = (last + 1).saturating_sub(most as usize);
    let is_misc = |t: &SlotType| *t == SlotType::Misc;
    if !slot.types[first..=last].iter().all(is_misc) || slot.reg.kind != RegKind::NotInit {
        let slot = &mut st.frame_at_mut(frame).stack[index / 8];
        slot.types[first..=last].fill(SlotType::Misc);
        slot.reg = RegState::NOT_INIT;
    }
    (last + 1 - first) as u32
}

fn write_fixed(
    env: &mut Env<'_>,
    st: &mut State,
    frame: usize,
    at: i32,
    size: u32,
    stored: Stored,
) -> Check {
    let index = ((-1 - at) / 8) as usize;
    if st.frames[frame].stack[index]
        .types
        .contains(&SlotType::Dynptr)
    {
        stack_objects::destroy(env, st, frame, at, size)?;
    }
    let old = &st.frames[frame].stack[index];
    if size != 8 && old.is_spilled() && env.is_secret(&old.reg) {
        return Err(
            reject!(Leak, EACCES, "attempt to corrupt spilled pointer on stack")
                .because("a part of an address on the stack would be overwritten"),
        );
    }
    if size == 8 {
        env.liveness.overwrite(frame, index);
    }
    note_spill(env, st, frame, (at, size), stored);
    let mut value = match stored {
        Stored::Reg(reg) => Some(*st.reg(reg)),
        Stored::Imm(imm) => Some(RegState::constant(i64::from(imm) as u64)),
        Stored::Unknown => None,
    };
    let spills = match &value {
        // Without loops and functions, numbers on the stack need not be followed.
        Some(value) if value.is_scalar() => at % 8 == 0 && env.is_capable(),
        Some(value) => is_spillable(value),
        None => false,
    };
    if let Some(value) = value.as_mut().filter(|_| spills) {
        if value.is_scalar() {
            let fits = width_of(&value.num) <= size * 8;
            if fits && let Stored::Reg(reg) = stored {
                link_before_copy(env, value);
                *st.reg_mut(reg) = *value;
            }
            if !fits {
                unlink(value);
            }
        } else {
            if size != 8 {
                return Err(reject!(Stack, EACCES, "invalid size of register spill")
                    .because("a pointer is stored to the stack, but only a part of it"));
            }
            if frame != st.level() && matches!(value.kind, RegKind::Stack { .. }) {
                return Err(reject!(
                    Stack,
                    EINVAL,
                    "cannot spill pointers to stack into stack frame of the caller"
                ));
            }
        }
        let slot = &mut st.frame_at_mut(frame).stack[index];
        spill(slot, value, size);
        explore::record(env, st, Some((frame as u8, index as u8)), Linked::default());
        return Ok(());
    }
    let zero = value.is_some_and(|v| v.is_null());
    if zero && let Stored::Reg(reg) = stored {
        precision::mark_reg(env, st, reg)?;
    }
    let slot = &mut st.frame_at_mut(frame).stack[index];
    if slot.is_spilled() || slot.is_special() {
        forget_spill(slot);
    }
    slot.reg = RegState::NOT_INIT;
    let kind = if zero { SlotType::Zero } else { SlotType::Misc };
    let first = (-1 - at) as usize;
    for i in 0..size as usize {
        slot.types[(first - i) % 8] = kind;
    }
    Ok(())
}

/// A store may be overtaken by a load that guesses: a barrier follows where the load would see
/// something of another kind.
fn note_spill(env: &mut Env<'_>, st: &State, frame: usize, (at, size): (i32, u32), stored: Stored) {
    if !env.contains_speculation() {
        return;
    }
    let spills = matches!(stored, Stored::Reg(reg) if is_spillable(st.reg(reg)));
    let plain = |kind| matches!(kind, SlotType::Misc | SlotType::Zero);
    let mut bytes = bytes_of(
        &st.frames[frame],
        at.into(),
        i64::from(at) + i64::from(size),
    );
    if spills || !bytes.all(plain) {
        env.aux[env.slot].barrier_after = true;
    }
}

fn is_spillable(value: &RegState) -> bool {
    value.is_pointer() && !matches!(value.kind, RegKind::TpBuffer | RegKind::Dynptr { .. })
}

fn spill(slot: &mut StackSlot, value: &RegState, size: u32) {
    slot.reg = *value;
    let low = 8 - size as usize;
    slot.types[low..].fill(SlotType::Spill);
    for t in &mut slot.types[..low] {
        if !matches!(*t, SlotType::Zero | SlotType::Invalid) {
            *t = SlotType::Misc;
        }
    }
}

/// The slot no longer holds a register: what is left of it is any bytes.
pub fn forget_spill(slot: &mut StackSlot) {
    for t in &mut slot.types {
        if *t != SlotType::Invalid {
            *t = SlotType::Misc;
        }
    }
}

/// Where addresses are secret, a write at a variable offset neither overwrites them in part nor
/// counts as writing what was never written.
fn check_variable_write(env: &Env<'_>, frame: &Frame, from: i64, to: i64) -> Check {
    if env.sees_addresses() {
        return Ok(());
    }
    for at in from..to {
        let insn = env.slot;
        match byte(frame, at as i32) {
            SlotType::Misc | SlotType::Zero => {}
            SlotType::Invalid => {
                return Err(reject!(
                    Stack,
                    EINVAL,
                    "uninit stack in range of var-offset write prohibited for !root; insn {insn}, off: {at}"
                ));
            }
            _ => {
                return Err(reject!(
                    Leak,
                    EINVAL,
                    "spilled ptr in range of var-offset stack write; insn {insn}, ptr off: {at}"
                ));
            }
        }
    }
    Ok(())
}

fn write_variable(
    env: &mut Env<'_>,
    st: &mut State,
    frame: usize,
    (from, to): (i64, i64),
    stored: Stored,
) -> Check {
    let zero = match stored {
        Stored::Reg(reg) => st.reg(reg).is_null(),
        Stored::Imm(imm) => imm == 0,
        Stored::Unknown => false,
    };
    check_variable_write(env, &st.frames[frame], from, to)?;
    for at in from..to {
        if byte(&st.frames[frame], at as i32) == SlotType::Dynptr {
            stack_objects::destroy(env, st, frame, at as i32, 1)?;
        }
    }
    let mut zero_kept = false;
    let slots = &mut st.frame_at_mut(frame).stack;
    for at in from..to {
        let index = (-1 - at) as usize;
        let slot = &mut slots[index / 8];
        let kind = slot.types[index % 8];
        if zero
            && kind == SlotType::Spill
            && slot.is_spilled_scalar()
            && slot.reg.num.as_const() == Some(0)
        {
            zero_kept = true;
            continue;
        }
        if slot.is_spilled() {
            forget_spill(slot);
        }
        slot.reg.kind = RegKind::NotInit;
        let keeps = zero && slot.types[index % 8] == SlotType::Zero;
        zero_kept |= keeps;
        slot.types[index % 8] = if keeps {
            SlotType::Zero
        } else {
            SlotType::Misc
        };
    }
    if zero_kept && let Stored::Reg(reg) = stored {
        precision::mark_reg(env, st, reg)?;
    }
    Ok(())
}
