//! Lists and trees of allocated objects.

use panal_isa::Reg;

use super::{Meta, kinds::ArgKind};
use crate::{
    calls::{
        fields::{Field, Fields, Special},
        graph,
    },
    env::Env,
    error::{Check, reject},
    state::{BtfType, Frame, LockPtr, PtrFlags, RefKind, RegKind, RegState, State},
};

/// The special fields of what a register points to.
fn fields_of(env: &Env<'_>, state: &RegState) -> Fields {
    match state.kind {
        RegKind::MapValue { map, .. } => env.map(map).fields.clone(),
        RegKind::Btf(ty) => Fields::of_type(env, ty),
        _ => Fields::default(),
    }
}

fn constant_offset(state: &RegState, n: u8, name: &str) -> Check<i64> {
    match state.num.as_const() {
        Some(var) => Ok(i64::from(state.off).wrapping_add(var as i64)),
        None => Err(reject!(
            SpecialObject,
            EINVAL,
            "R{n} doesn't have constant offset. {name} has to be at the constant offset"
        )),
    }
}

/// The head of a list or root of a tree, whose lock must be held.
pub fn root(env: &Env<'_>, st: &State, meta: &mut Meta<'_>, kind: ArgKind, reg: Reg) -> Check {
    let special = if kind == ArgKind::ListHead {
        Special::ListHead
    } else {
        Special::RbRoot
    };
    let state = st.reg(reg);
    let name = special.name();
    let at = constant_offset(state, reg.number(), name)?;
    let fields = fields_of(env, state);
    let Some(field) = fields.at(at, &[special]) else {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "{name} not found at offset={at}"
        ));
    };
    let lock = fields
        .offset_of(Special::SpinLock)
        .or(fields.offset_of(Special::ResSpinLock))
        .map_or(-1, i64::from);
    let unlocked = || {
        reject!(
            Locking,
            EINVAL,
            "bpf_spin_lock at off={lock} must be held for {name}"
        )
        .help("call bpf_spin_lock on the lock beside it first")
    };
    if st.refs.locks == 0 {
        return Err(unlocked());
    }
    let place = match state.kind {
        RegKind::MapValue { map, .. } => LockPtr::Map(map),
        _ => LockPtr::Object,
    };
    let held = st.refs.list.iter().any(|r| {
        matches!(
            r.kind,
            RefKind::Lock | RefKind::ResLock | RefKind::ResLockIrq
        ) && r.id == state.id
            && r.lock == Some(place)
    });
    if !held {
        let body = unlocked().into_body();
        return Err(reject!(
            Locking,
            EINVAL,
            "held lock and object are not in the same allocation\n{}",
            body.linux
        ));
    }
    meta.root = Some(*field);
    Ok(())
}

/// A node, which must lie where the root says.
pub fn node(
    env: &Env<'_>,
    meta: &mut Meta<'_>,
    kind: ArgKind,
    state: &RegState,
    reg: Reg,
) -> Check {
    let special = if kind == ArgKind::ListNode {
        Special::ListNode
    } else {
        Special::RbNode
    };
    let name = special.name();
    let at = constant_offset(state, reg.number(), name)?;
    let RegKind::Btf(ty) = state.kind else {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "{name} not found at offset={at}"
        ));
    };
    if Fields::of_type(env, ty).at(at, &[special]).is_none() {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "{name} not found at offset={at}"
        ));
    }
    let root = meta
        .root
        .and_then(|root| root.target.map(|target| (root, target)));
    let Some((root, target)) = root else {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "the root does not say what it contains"
        ));
    };
    let type_name = |ty: BtfType| env.btf(ty.btf).map_or("", |btf| btf.name(ty.id));
    if ty != target {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "operation on {} expects arg#1 {name} at offset={} in struct {}, but arg is at \
             offset={at} in struct {}",
            root.kind.name(),
            root.node_offset,
            type_name(target),
            type_name(ty)
        ));
    }
    if at != i64::from(root.node_offset) {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "arg#1 offset={at}, but expected {name} at offset={} in struct {}",
            root.node_offset,
            type_name(target)
        ));
    }
    meta.object = Some(ty);
    Ok(())
}

/// A node that stays in its tree: borrowed or counted.
pub fn check_borrowed(env: &Env<'_>, st: &State, meta: &Meta<'_>, state: &RegState) -> Check {
    if !state.flags.contains(PtrFlags::NON_OWN_REF) && state.ref_id == 0 {
        return Err(reject!(
            WrongType,
            EINVAL,
            "{} can only take non-owning or refcounted bpf_rb_node pointer",
            meta.name()
        ));
    }
    if graph::in_less_callback(env, st) {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "{} not allowed in rbtree cb",
            meta.name()
        ));
    }
    Ok(())
}

/// A pointer to a node of the root's objects.
pub fn of_root(root: &Field) -> Option<RegState> {
    let mut value = RegState::pointer(RegKind::Btf(root.target?)).with_flags(PtrFlags::ALLOC);
    value.off = i32::try_from(root.node_offset).ok()?;
    Some(value)
}

/// The same, borrowed while the lock is held.
pub fn borrowed(env: &Env<'_>, value: RegState) -> RegState {
    let mut value = value;
    value.flags |= PtrFlags::NON_OWN_REF;
    if fields_of(env, &value).has(Special::Refcount) {
        value.flags |= PtrFlags::RCU;
    }
    value
}

/// Arguments of the comparison function of a tree's insertion.
pub fn less_arguments(env: &Env<'_>, caller: &Frame, callee: &mut Frame) -> Check {
    let root = &caller.regs[1];
    let at = constant_offset(root, 1, Special::RbRoot.name())?;
    let fields = fields_of(env, root);
    let node = fields.at(at, &[Special::RbRoot]).and_then(of_root);
    let Some(node) = node else {
        return Err(reject!(
            SpecialObject,
            EFAULT,
            "the root does not say what it contains"
        ));
    };
    callee.regs[1] = borrowed(env, node);
    callee.regs[2] = borrowed(env, node);
    callee.return_range = Some((0, 1));
    Ok(())
}

/// What is inserted belongs to the list or tree now: the program keeps a borrowed pointer.
pub fn convert_owned(env: &Env<'_>, st: &mut State, id: u32) {
    let which = |reg: &RegState| reg.ref_id == id && reg.is_pointer();
    st.change_regs(which, |reg| {
        reg.ref_id = 0;
        *reg = borrowed(env, *reg);
    });
}
