//! A helper touches a range of bytes behind a register.

use alloc::rc::Rc;
use core::ops::Range;

use panal_isa::Reg;

use super::{
    AccessKind, context,
    memory::{self, Stored, bits_text},
    stack,
};
use crate::{
    env::Env,
    error::{Check, reject},
    state::{PtrFlags, RegKind, RegState, SlotType, Stack, State},
};

/// A buffer on the stack that the helper fills whatever was there: once all arguments are checked,
/// [`fill`] marks its bytes as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawBuffer {
    /// The pointer.
    pub reg: Reg,
    /// Bytes.
    pub size: u32,
}

/// Checks that a helper may read or write `size` bytes behind `reg`.
///
/// `raw` is given for arguments that may be uninitialised memory; it is set when the buffer is on
/// the stack at a constant offset.
///
/// # Errors
/// Out of bounds, not initialised, not readable or writable, not memory at all.
pub fn check(
    env: &mut Env<'_>,
    st: &mut State,
    reg: Reg,
    size: u32,
    access: AccessKind,
    zero_size_allowed: bool,
    raw: Option<&mut Option<RawBuffer>>,
) -> Check {
    let state = *st.reg(reg);
    let n = reg.number();
    if state.may_be_null() {
        return not_memory(&state, reg, size, zero_size_allowed);
    }
    let read_only = || {
        Err(reject!(
            Permission,
            EACCES,
            "R{n} cannot write into {}",
            state.type_name()
        ))
    };
    match state.kind {
        RegKind::Packet { .. } | RegKind::PacketMeta { .. } => {
            if access.is_write() && !context::may_access_packet(env, access) {
                return Err(reject!(Permission, EACCES, "cannot write into packet"));
            }
            memory::check_packet(&state, reg, 0, size, zero_size_allowed)
        }
        RegKind::MapKey { map, .. } => {
            if access.is_write() {
                return read_only();
            }
            let key_size = env.map(map).desc.key_size;
            memory::check_region(env, st, reg, 0, size, key_size, false, access)
        }
        RegKind::MapValue { map, .. } => {
            memory::check_map_permission(env, &state, 0, size, map, access)?;
            let value_size = env.map(map).desc.value_size;
            memory::check_region(env, st, reg, 0, size, value_size, zero_size_allowed, access)?;
            let off = i64::from(state.off);
            crate::calls::fields::check_by_helper(
                env,
                map,
                state.num.smin.saturating_add(off),
                state.num.umax.wrapping_add(off as u64),
                size,
                access,
            )
        }
        RegKind::Mem { size: mem_size, .. } => {
            if state.flags.contains(PtrFlags::RDONLY) && access.is_write() {
                return read_only();
            }
            memory::check_region(env, st, reg, 0, size, mem_size, zero_size_allowed, access)
        }
        RegKind::Buf => {
            let is_read_only = state.flags.contains(PtrFlags::RDONLY);
            if is_read_only && access.is_write() {
                return read_only();
            }
            memory::check_buffer(
                &state,
                reg,
                0,
                size,
                if is_read_only { "rdonly" } else { "rdwr" },
            )
        }
        RegKind::Stack { .. } => check_stack(env, st, reg, 0, size, access, zero_size_allowed, raw),
        RegKind::Btf(_) => check_object(env, st, reg, size),
        RegKind::Context if context::is_memory(env) => match size {
            0 if zero_size_allowed => Ok(()),
            0 => not_memory(&state, reg, size, false),
            _ => check_context(env, st, reg, size, access),
        },
        _ => not_memory(&state, reg, size, zero_size_allowed),
    }
}

fn check_object(env: &mut Env<'_>, st: &mut State, reg: Reg, size: u32) -> Check {
    super::btf::check(env, st, reg, 0, size, AccessKind::Read).map(|_| ())
}

/// A context that is memory: the last byte must be one that the program may access itself.
fn check_context(
    env: &mut Env<'_>,
    st: &mut State,
    reg: Reg,
    size: u32,
    access: AccessKind,
) -> Check {
    let state = *st.reg(reg);
    if state.off < 0 {
        memory::check_unmodified(&state, reg)?;
    }
    memory::check_unmodified_variable(&state)?;
    let last = i64::from(state.off) + i64::from(size) - 1;
    let last = i32::try_from(last).map_err(|_| {
        reject!(
            ContextAccess,
            EACCES,
            "invalid bpf_context access off={last} size=1"
        )
    })?;
    context::check(env, st, last, 1, access).map(|_| ())
}

fn not_memory(state: &RegState, reg: Reg, size: u32, zero_size_allowed: bool) -> Check {
    // A null pointer with no bytes behind it is fine.
    if zero_size_allowed && size == 0 && state.is_null() {
        return Ok(());
    }
    Err(reject!(
        WrongType,
        EACCES,
        "R{} type={} expected=fp",
        reg.number(),
        state.type_name()
    ))
}

/// Checks that a range of the stack may be read, or marks it as written.
#[allow(clippy::too_many_arguments)] // one access in full
pub fn check_stack(
    env: &mut Env<'_>,
    st: &mut State,
    base: Reg,
    off: i32,
    size: u32,
    access: AccessKind,
    zero_size_allowed: bool,
    raw: Option<&mut Option<RawBuffer>>,
) -> Check {
    if size == 0 && !zero_size_allowed {
        return Err(reject!(OutOfBounds, EACCES, "invalid zero-sized read"));
    }
    stack::check_bounds(env, st, base, off, size, access, stack::By::Helper)?;
    let reg = *st.reg(base);
    let frame = stack::frame_of(&reg);
    let fixed = i64::from(reg.off) + i64::from(off);
    let (min, max) = match reg.num.as_const() {
        Some(var) => (var as i64 + fixed, var as i64 + fixed),
        None => (reg.num.smin + fixed, reg.num.smax + fixed),
    };
    let bytes = min..max + i64::from(size);
    if !reg.num.is_const() && env.contains_speculation() {
        let var = bits_text(reg.num.bits);
        let n = base.number();
        return Err(reject!(
            Stack,
            EACCES,
            "R{n} variable offset stack access prohibited for !root, var_off={var}"
        ));
    }
    if let Some(raw) = raw
        && reg.num.is_const()
    {
        if let Some(at) = first_of_dynptr(&st.frames[frame].stack, bytes) {
            return Err(reject!(
                SpecialObject,
                EACCES,
                "potential write to dynptr at off={at} disallowed"
            ));
        }
        *raw = Some(RawBuffer { reg: base, size });
        return Ok(());
    }
    let mut last = None;
    let mut at = bytes.start;
    while at < bytes.end {
        let index = (-1 - at) as usize;
        let slot = &st.frames[frame].stack[index / 8];
        if slot.types == [SlotType::Misc; 8] {
            env.liveness.read(env.slot, frame, index / 8);
            at += (index % 8) as i64 + 1;
            continue;
        }
        match slot.types[index % 8] {
            SlotType::Misc => {}
            kind @ (SlotType::Zero | SlotType::Invalid)
                if kind == SlotType::Zero || env.sees_addresses() =>
            {
                if access.is_write() {
                    Rc::make_mut(&mut st.frames[frame]).stack[index / 8].types[index % 8] =
                        SlotType::Misc;
                }
            }
            _ if slot.is_spilled() && !env.is_secret(&slot.reg) => {
                if access.is_write() {
                    let slot = &mut Rc::make_mut(&mut st.frames[frame]).stack[index / 8];
                    slot.reg = RegState::UNKNOWN;
                    stack::forget_spill(slot);
                }
            }
            _ => {
                let n = base.number();
                let at_byte = at - min;
                let text = if reg.num.is_const() {
                    alloc::format!("off {min}+{at_byte} size {size}")
                } else {
                    alloc::format!("var_off {}+{at_byte} size {size}", bits_text(reg.num.bits))
                };
                return Err(reject!(
                    Stack,
                    EACCES,
                    "invalid read from stack R{n} {text}"
                ));
            }
        }
        if last != Some(index / 8) {
            last = Some(index / 8);
            env.liveness.read(env.slot, frame, index / 8);
        }
        at += 1;
    }
    Ok(())
}

/// The lowest of these bytes of a stack that is part of a dynptr.
fn first_of_dynptr(stack: &Stack, bytes: Range<i64>) -> Option<i64> {
    let index = |at: i64| (-1 - at) as usize;
    let mut at = bytes.start;
    while at < bytes.end {
        let types = &stack[index(at) / 8].types;
        if types[index(at) % 8] == SlotType::Dynptr {
            return Some(at);
        }
        at += match types.contains(&SlotType::Dynptr) {
            true => 1,
            false => (index(at) % 8) as i64 + 1,
        };
    }
    None
}

/// Marks a raw buffer as written.
///
/// # Errors
/// It overlaps something that must not be overwritten.
pub fn fill(env: &mut Env<'_>, st: &mut State, raw: RawBuffer) -> Check {
    if raw.size == 0 {
        return Ok(());
    }
    stack::check_bounds(
        env,
        st,
        raw.reg,
        0,
        raw.size,
        AccessKind::Write,
        stack::By::Helper,
    )?;
    let mut at = 0;
    while at < raw.size {
        match stack::overwrite_plain(st, raw.reg, at as i32, raw.size - at) {
            0 => {
                stack::write(env, st, raw.reg, at as i32, 1, Stored::Unknown)?;
                at += 1;
            }
            done => at += done,
        }
    }
    Ok(())
}
