//! Iterators on the stack: new, next, destroy.

use panal_btf::Kind;
use panal_uapi::{AttachType, ProgType, kfuncs::KfuncFlags};

use super::Meta;
use crate::{
    access::memory::{self, Stored},
    calls::{
        helper::{ARGUMENTS, release_reference},
        in_rcu,
        stack_objects::{self, Place},
    },
    env::Env,
    error::{Check, reject},
    state::{BtfRef, BtfType, IterState, PtrFlags, RegKind, RegState, SlotType, StackSlot, State},
};

/// The iterator argument.
pub fn argument(env: &mut Env<'_>, st: &mut State, meta: &mut Meta<'_>, index: usize) -> Check {
    if meta.name() == "bpf_iter_css_task_new" && !may_walk_css_tasks(env, st) {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs"
        ));
    }
    let reg = ARGUMENTS[index];
    let state = *st.reg(reg);
    if !matches!(state.kind, RegKind::Stack { .. }) {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "arg#{index} expected pointer to an iterator on stack"
        ));
    }
    let Some((ty, slots)) = iterator_type(meta, index) else {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "expected valid iter pointer as arg #{index}"
        ));
    };
    let name = meta.btf.name(ty.id);
    let short = name.strip_prefix("bpf_iter_").unwrap_or(name);
    if meta.is(KfuncFlags::ITER_NEW) {
        let refuse = || alloc::format!("expected uninitialized iter_{short} as arg #{index}");
        let place = stack_objects::locate(&state, "iter", slots).map_err(|r| r.then(&refuse()))?;
        let taken = (0..slots).any(|slot| {
            st.frames
                .get(place.frame)
                .and_then(|frame| frame.slot(place.slot(slot)))
                .is_some_and(|slot| slot.types.contains(&SlotType::Iter))
        });
        if taken {
            return Err(reject!(SpecialObject, EINVAL, "{}", refuse()));
        }
        for slot in 0..slots {
            memory::check_write(env, st, reg, 8 * slot as i32, 8, Stored::Unknown)?;
        }
        make(env, st, meta, place, ty, slots);
        return Ok(());
    }
    let refuse = || {
        reject!(
            SpecialObject,
            EINVAL,
            "expected an initialized iter_{short} as arg #{index}"
        )
    };
    let place = stack_objects::locate(&state, "iter", slots)
        .map_err(|r| r.then(&refuse().into_body().linux))?;
    check_initialized(st, meta, place, ty, slots, &refuse)?;
    meta.iter = Some(place);
    meta.ref_id = slot_reg(st, place, 0).map_or(0, |reg| reg.ref_id);
    if meta.is(KfuncFlags::ITER_DESTROY) {
        release_reference(env, st, meta.ref_id);
        for slot in 0..slots {
            *st.frame_at_mut(place.frame).slot_mut(place.slot(slot)) = StackSlot::INVALID;
        }
    }
    Ok(())
}

fn may_walk_css_tasks(env: &Env<'_>, st: &State) -> bool {
    match env.request.prog_type {
        ProgType::Lsm => true,
        ProgType::Tracing => env.request.attach_type == Some(AttachType::TraceIter) || st.sleepable,
        _ => st.sleepable,
    }
}

/// The iterator's type and how many slots it takes.
fn iterator_type(meta: &Meta<'_>, index: usize) -> Option<(BtfType, usize)> {
    let param = meta.param(index)?;
    let Kind::Ptr(declared) = meta.btf.resolve(param.ty).1.kind else {
        return None;
    };
    let (id, underneath) = meta.btf.resolve(declared);
    let Kind::Struct { size, .. } = underneath.kind else {
        return None;
    };
    let good = underneath.name.starts_with("bpf_iter_") && size > 0 && size % 8 == 0;
    good.then_some((
        BtfType {
            btf: BtfRef::Kernel,
            id,
        },
        (size / 8) as usize,
    ))
}

fn slot_reg(st: &State, place: Place, slot: usize) -> Option<&RegState> {
    Some(&st.frames.get(place.frame)?.slot(place.slot(slot))?.reg)
}

fn make(
    env: &mut Env<'_>,
    st: &mut State,
    meta: &Meta<'_>,
    place: Place,
    ty: BtfType,
    slots: usize,
) {
    let id = env.new_id();
    st.refs.acquire(id, env.slot);
    let flags = match meta.is(KfuncFlags::RCU_PROTECTED) {
        false => PtrFlags::empty(),
        true if in_rcu(st) => PtrFlags::RCU,
        true => PtrFlags::UNTRUSTED,
    };
    for slot in 0..slots {
        let first = slot == 0;
        let kind = RegKind::Iter {
            ty,
            state: IterState::Active,
            depth: 0,
            first,
        };
        let reg = RegState::pointer(kind)
            .with_flags(if first { flags } else { PtrFlags::empty() })
            .with_ref(if first { id } else { 0 });
        *st.frame_at_mut(place.frame).slot_mut(place.slot(slot)) = StackSlot {
            types: [SlotType::Iter; 8],
            reg,
        };
    }
}

fn check_initialized(
    st: &State,
    meta: &Meta<'_>,
    place: Place,
    wanted: BtfType,
    slots: usize,
    refuse: &dyn Fn() -> crate::error::Reject,
) -> Check {
    for slot in 0..slots {
        let at = st
            .frames
            .get(place.frame)
            .and_then(|frame| frame.slot(place.slot(slot)));
        let Some(at) = at.filter(|s| s.types.iter().all(|&t| t == SlotType::Iter)) else {
            return Err(refuse());
        };
        if at.reg.flags.contains(PtrFlags::UNTRUSTED) {
            return Err(reject!(
                Locking,
                EPROTO,
                "expected an RCU CS when using {}",
                meta.name()
            ));
        }
        let right = matches!(at.reg.kind, RegKind::Iter { ty, first, .. }
            if ty == wanted && first == (slot == 0) && (at.reg.ref_id != 0) == first);
        if !right {
            return Err(refuse());
        }
    }
    Ok(())
}

/// Whether the iterator that is used is protected by RCU.
pub fn is_rcu(st: &State, meta: &Meta<'_>) -> bool {
    meta.iter
        .and_then(|place| slot_reg(st, place, 0))
        .is_some_and(|reg| reg.flags.contains(PtrFlags::RCU))
}

/// `next` was called: either there is an element, or the iterator is at its end.
pub fn step(env: &mut Env<'_>, st: &mut State, meta: &Meta<'_>) -> Check {
    let Some(place) = meta.iter else {
        return Ok(());
    };
    let Some(&RegState {
        kind: RegKind::Iter { state, .. },
        ..
    }) = slot_reg(st, place, 0)
    else {
        return Err(reject!(SpecialObject, EFAULT, "no iterator"));
    };
    if state == IterState::Active {
        let (slot, level) = (env.slot + 1, st.level());
        let queued = crate::explore::push_iteration(env, st, slot)?;
        set_state(queued, place, |kind| {
            if let RegKind::Iter { depth, .. } = kind {
                *depth += 1;
            }
        });
        let r0 = &mut queued.frame_at_mut(level).regs[0];
        r0.flags -= PtrFlags::MAYBE_NULL;
    }
    set_state(st, place, |kind| {
        if let RegKind::Iter { state, .. } = kind {
            *state = IterState::Drained;
        }
    });
    st.frame_mut().regs[0] = RegState::constant(0);
    Ok(())
}

fn set_state(st: &mut State, place: Place, change: impl FnOnce(&mut RegKind)) {
    change(&mut st.frame_at_mut(place.frame).slot_mut(place.off).reg.kind);
}
