//! `bpf_spin_lock` and `bpf_res_spin_lock`.

#![allow(non_upper_case_globals)]

use panal_isa::Reg;
use panal_uapi::helpers::id::*;

use super::{fields, graph};
use crate::{
    env::Env,
    error::{Check, reject},
    state::{LockPtr, PtrFlags, RefKind, Reference, RegKind, RegState, State},
};

/// The helpers `spin_lock` and `spin_unlock`.
pub fn process(env: &mut Env<'_>, st: &mut State, helper: u32, reg: Reg) -> Check {
    if graph::in_less_callback(env, st) {
        return Err(reject!(
            Locking,
            EACCES,
            "can't spin_{{lock,unlock}} in rbtree cb"
        ));
    }
    if helper == BPF_FUNC_spin_lock {
        lock(env, st, reg, RefKind::Lock)
    } else {
        unlock(env, st, reg, RefKind::Lock)
    }
}

fn is_resilient(kind: RefKind) -> bool {
    matches!(kind, RefKind::ResLock | RefKind::ResLockIrq)
}

fn name(kind: RefKind) -> &'static str {
    if is_resilient(kind) {
        "bpf_res_spin"
    } else {
        "bpf_spin"
    }
}

/// The lock that a register points to.
fn locate(env: &Env<'_>, state: &RegState, n: u8, kind: RefKind) -> Check<LockPtr> {
    let lock = name(kind);
    let Some(var) = state.num.as_const() else {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "R{n} doesn't have constant offset. {lock}_lock has to be at the constant offset"
        ));
    };
    let wanted = if is_resilient(kind) {
        fields::Special::ResSpinLock
    } else {
        fields::Special::SpinLock
    };
    let (place, what, who, found) = match state.kind {
        RegKind::MapValue { map, .. } => {
            let entry = env.map(map);
            if entry.desc.types.is_none() {
                return Err(reject!(
                    SpecialObject,
                    EINVAL,
                    "map '{}' has to have BTF in order to use {lock}_lock",
                    entry.desc.name
                ));
            }
            let found = entry.fields.offset_of(wanted);
            (LockPtr::Map(map), "map", &*entry.desc.name, found)
        }
        RegKind::Btf(ty) => {
            let found = fields::Fields::of_type(env, ty).offset_of(wanted);
            (LockPtr::Object, "local", "kptr", found)
        }
        _ => return Err(reject!(WrongType, EINVAL, "R{n} has no valid {lock}_lock")),
    };
    let Some(field) = found else {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "{what} '{who}' has no valid {lock}_lock"
        ));
    };
    let at = i64::from(state.off).wrapping_add(var as i64);
    if at != i64::from(field) {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "off {at} doesn't point to 'struct {lock}_lock' that is at {field}"
        ));
    }
    Ok(place)
}

/// Takes the lock that `reg` points to.
pub fn lock(env: &mut Env<'_>, st: &mut State, reg: Reg, kind: RefKind) -> Check {
    let state = *st.reg(reg);
    let place = locate(env, &state, reg.number(), kind)?;
    let held = |f: &dyn Fn(&Reference) -> bool| st.refs.list.iter().any(f);
    if is_resilient(kind) {
        if held(&|r| is_resilient(r.kind) && r.id == state.id && r.lock == Some(place)) {
            return Err(reject!(
                Locking,
                EINVAL,
                "Acquiring the same lock again, AA deadlock detected"
            ));
        }
    } else if held(&|r| r.kind == RefKind::Lock) {
        return Err(reject!(
            Locking,
            EINVAL,
            "Locking two bpf_spin_locks are not allowed"
        ));
    }
    st.refs.list.push(Reference {
        kind,
        id: state.id,
        slot: env.slot as u32,
        lock: Some(place),
    });
    st.refs.locks += 1;
    st.refs.active_lock = Some((state.id, place));
    Ok(())
}

/// Releases the lock that `reg` points to.
pub fn unlock(env: &mut Env<'_>, st: &mut State, reg: Reg, kind: RefKind) -> Check {
    let state = *st.reg(reg);
    let place = locate(env, &state, reg.number(), kind)?;
    let lock = name(kind);
    if st.refs.locks == 0 {
        return Err(reject!(
            Locking,
            EINVAL,
            "{lock}_unlock without taking a lock"
        ));
    }
    let entry = st
        .refs
        .list
        .iter()
        .position(|r| r.kind == kind && r.id == state.id && r.lock == Some(place));
    let Some(entry) = entry else {
        return Err(reject!(Locking, EINVAL, "{lock}_unlock of different lock"));
    };
    if st.refs.active_lock != Some((state.id, place)) {
        return Err(reject!(
            Locking,
            EINVAL,
            "{lock}_unlock cannot be out of order"
        ));
    }
    st.refs.list.remove(entry);
    st.refs.locks -= 1;
    st.refs.active_lock = st
        .refs
        .list
        .iter()
        .rev()
        .find_map(|r| r.lock.map(|lock| (r.id, lock)));
    invalidate_borrowed(env, st);
    Ok(())
}

/// Graph nodes that were borrowed under the lock are gone with it.
pub fn invalidate_borrowed(env: &Env<'_>, st: &mut State) {
    let becomes = env.invalidated();
    let which = |reg: &RegState| reg.flags.contains(PtrFlags::NON_OWN_REF);
    st.change_regs(which, |reg| *reg = becomes);
}
