//! Dynptrs, iterators and IRQ flags on the stack.

use panal_isa::Reg;
use panal_uapi::helpers::ArgFlags;

use crate::{
    access::memory::{self, Stored},
    env::Env,
    error::{Check, reject},
    state::{DynptrKind, Frame, RegKind, RegState, SlotType, StackSlot, State},
};

/// A dynptr that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DynptrUse {
    /// Its id: slices carry it.
    pub id: u32,
    /// Its reference, 0 for none.
    pub ref_id: u32,
    /// To what it points.
    pub kind: DynptrKind,
}

impl DynptrUse {
    /// Whether writing through it may move the packet.
    pub fn is_packet(&self) -> bool {
        matches!(self.kind, DynptrKind::Skb | DynptrKind::SkbMeta)
    }
}

/// A kind of dynptr as Linux's log names it.
pub fn kind_name(kind: DynptrKind) -> &'static str {
    match kind {
        DynptrKind::Local => "local",
        DynptrKind::Ringbuf => "ringbuf",
        DynptrKind::Skb => "skb",
        DynptrKind::Xdp => "xdp",
        DynptrKind::SkbMeta => "skb_meta",
    }
}

const fn is_counted(kind: DynptrKind) -> bool {
    matches!(kind, DynptrKind::Ringbuf)
}

/// Where an object on the stack lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Frame.
    pub frame: usize,
    /// Offset of its lowest byte from the frame pointer: a multiple of 8.
    pub off: i32,
}

impl Place {
    /// Offset of its slot `n`, upwards.
    pub fn slot(self, n: usize) -> i32 {
        self.off + 8 * n as i32
    }
}

/// The place that a register points to, for an object of so many slots.
pub fn locate(state: &RegState, what: &str, slots: usize) -> Check<Place> {
    let RegKind::Stack { frame } = state.kind else {
        return Err(reject!(SpecialObject, EINVAL, "{what} is not on the stack"));
    };
    let Some(var) = state.num.as_const() else {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "{what} has to be at a constant offset"
        ));
    };
    let off = i64::from(state.off).wrapping_add(var as i64);
    let bad = off % 8 != 0 || off > -8 * slots as i64;
    match i32::try_from(off) {
        Ok(off) if !bad => Ok(Place {
            frame: usize::from(frame),
            off,
        }),
        _ => Err(reject!(
            SpecialObject,
            EINVAL,
            "cannot pass in {what} at an offset={off}"
        )),
    }
}

fn is_dynptr(slot: &StackSlot) -> bool {
    slot.types.iter().all(|&t| t == SlotType::Dynptr)
}

/// The dynptr at a place, if a whole one is there.
fn dynptr_at(frame: &Frame, off: i32) -> Option<&RegState> {
    let (low, high) = (frame.slot(off)?, frame.slot(off + 8)?);
    let first = matches!(low.reg.kind, RegKind::Dynptr { first: true, .. });
    (is_dynptr(low) && is_dynptr(high) && first).then_some(&low.reg)
}

/// Reference of the dynptr that a register points to, 0 for none.
pub fn dynptr_reference(st: &State, state: &RegState) -> u32 {
    let Ok(place) = locate(state, "dynptr", 2) else {
        return 0;
    };
    let slot = st
        .frames
        .get(place.frame)
        .and_then(|frame| frame.slot(place.off));
    slot.filter(|slot| is_dynptr(slot))
        .map_or(0, |slot| slot.reg.ref_id)
}

/// The initialised dynptr behind a register: on the stack, or a constant one in a register.
pub fn dynptr_of(st: &State, state: &RegState) -> Option<DynptrUse> {
    let reg = match state.kind {
        RegKind::Dynptr { .. } => *state,
        _ => {
            let place = locate(state, "dynptr", 2).ok()?;
            *dynptr_at(st.frames.get(place.frame)?, place.off)?
        }
    };
    let RegKind::Dynptr { kind, .. } = reg.kind else {
        return None;
    };
    Some(DynptrUse {
        id: reg.id,
        ref_id: reg.ref_id,
        kind,
    })
}

/// A dynptr argument: made where it must not be there, used where it must.
pub fn process_dynptr(
    env: &mut Env<'_>,
    st: &mut State,
    reg: Reg,
    kind: Option<DynptrKind>,
    flags: ArgFlags,
) -> Check<DynptrUse> {
    if flags.contains(ArgFlags::UNINIT) {
        return make_dynptr(env, st, reg, kind.unwrap_or(DynptrKind::Local), 0);
    }
    use_dynptr(st, reg, kind, flags.contains(ArgFlags::RDONLY))
}

/// An initialised dynptr is handed over.
pub fn use_dynptr(
    st: &State,
    reg: Reg,
    wanted: Option<DynptrKind>,
    readonly: bool,
) -> Check<DynptrUse> {
    let (state, n) = (st.reg(reg), reg.number());
    check_is_place(state, n)?;
    let constant = matches!(state.kind, RegKind::Dynptr { .. });
    if constant && !readonly {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "cannot pass pointer to const bpf_dynptr, the helper mutates it"
        ));
    }
    if !constant {
        locate(state, "dynptr", 2).map_err(|r| {
            r.then(&alloc::format!(
                "Expected an initialized dynptr as arg #{}",
                n - 1
            ))
        })?;
    }
    let Some(used) = dynptr_of(st, state) else {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "Expected an initialized dynptr as arg #{}",
            n - 1
        ));
    };
    match wanted {
        Some(kind) if kind != used.kind => Err(reject!(
            SpecialObject,
            EINVAL,
            "Expected a dynptr of type {} as arg #{}",
            kind_name(kind),
            n - 1
        )),
        _ => Ok(used),
    }
}

fn check_is_place(state: &RegState, n: u8) -> Check {
    if matches!(state.kind, RegKind::Stack { .. } | RegKind::Dynptr { .. }) {
        return Ok(());
    }
    Err(reject!(
        SpecialObject,
        EINVAL,
        "arg#{} expected pointer to stack or const struct bpf_dynptr",
        n - 1
    ))
}

/// A dynptr is made where a register points to; `clone_of` is the reference that it shares.
pub fn make_dynptr(
    env: &mut Env<'_>,
    st: &mut State,
    reg: Reg,
    kind: DynptrKind,
    clone_of: u32,
) -> Check<DynptrUse> {
    let state = *st.reg(reg);
    check_is_place(&state, reg.number())?;
    let refuse = "Dynptr has to be an uninitialized dynptr";
    if matches!(state.kind, RegKind::Dynptr { .. }) {
        return Err(reject!(SpecialObject, EINVAL, "{refuse}"));
    }
    let place = locate(&state, "dynptr", 2).map_err(|r| r.then(refuse))?;
    for slot in 0..2 {
        memory::check_write(env, st, reg, 8 * slot, 8, Stored::Unknown)?;
    }
    for slot in 0..2 {
        destroy_dynptr(env, st, place.frame, place.slot(slot))?;
    }
    let id = env.new_id();
    let ref_id = match (is_counted(kind), clone_of) {
        (false, _) => 0,
        (true, 0) => {
            let id = env.new_id();
            st.refs.acquire(id, env.slot);
            id
        }
        (true, shared) => shared,
    };
    for slot in 0..2 {
        let first = slot == 0;
        *st.frame_at_mut(place.frame).slot_mut(place.slot(slot)) = StackSlot {
            types: [SlotType::Dynptr; 8],
            reg: RegState::pointer(RegKind::Dynptr { kind, first })
                .with_id(id)
                .with_ref(ref_id),
        };
    }
    Ok(DynptrUse { id, ref_id, kind })
}

/// Gives up the dynptr that a register points to, with its clones and slices.
pub fn unmark_dynptr(env: &mut Env<'_>, st: &mut State, reg: Reg) -> Check {
    let _ = env;
    let state = *st.reg(reg);
    let place = locate(&state, "dynptr", 2)?;
    let Some(used) = dynptr_of(st, &state) else {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "Expected an initialized dynptr"
        ));
    };
    if used.ref_id == 0 {
        invalidate(st.frame_at_mut(place.frame), place.off);
        return Ok(());
    }
    if !super::helper::release_reference(env, st, used.ref_id) {
        return Err(reject!(
            Reference,
            EINVAL,
            "reference has not been acquired before"
        ));
    }
    // Clones may lie in any frame.
    for frame in 0..st.frames.len() {
        let slots = st.frames[frame].stack.len();
        for index in 0..slots {
            let off = -8 * (index as i32 + 1);
            let mine = st.frames[frame]
                .slot(off)
                .is_some_and(|slot| is_dynptr(slot) && slot.reg.ref_id == used.ref_id);
            if mine {
                *st.frame_at_mut(frame).slot_mut(off) = StackSlot::INVALID;
            }
        }
    }
    Ok(())
}

fn invalidate(frame: &mut Frame, off: i32) {
    for slot in 0..2 {
        *frame.slot_mut(off + 8 * slot) = StackSlot::INVALID;
    }
}

/// A plain store is about to overwrite the bytes `off..off + size` (from the frame pointer of
/// `frame`): destroys dynptrs there where that is allowed. Called for slots that hold a dynptr only;
/// the core turns iterators and IRQ flags away itself.
///
/// # Errors
/// The object holds a reference, or is one that must not be overwritten.
pub fn destroy(env: &mut Env<'_>, st: &mut State, frame: usize, off: i32, size: u32) -> Check {
    let first = off.div_euclid(8) * 8;
    let end = off.saturating_add_unsigned(size);
    let mut at = first;
    while at < end && at < 0 {
        destroy_dynptr(env, st, frame, at)?;
        at += 8;
    }
    Ok(())
}

/// Destroys the dynptr that a slot belongs to, if it does.
fn destroy_dynptr(env: &Env<'_>, st: &mut State, frame: usize, off: i32) -> Check {
    let Some(slot) = st.frames.get(frame).and_then(|frame| frame.slot(off)) else {
        return Ok(());
    };
    let RegKind::Dynptr { kind, first } = slot.reg.kind else {
        return Ok(());
    };
    if !slot.types.contains(&SlotType::Dynptr) {
        return Ok(());
    }
    if is_counted(kind) {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "cannot overwrite referenced dynptr"
        ));
    }
    let (id, start) = (slot.reg.id, if first { off } else { off - 8 });
    invalidate(st.frame_at_mut(frame), start);
    // Slices of it are gone too.
    let becomes = env.invalidated();
    let is_slice = |reg: &RegState| matches!(reg.kind, RegKind::Mem { dynptr_id, .. } if dynptr_id == id && id != 0);
    st.change_regs(is_slice, |reg| *reg = becomes);
    Ok(())
}
