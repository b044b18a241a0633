//! What a kernel function leaves in `r0`.

use panal_btf::{Kind, TypeId};
use panal_isa::Reg;
use panal_uapi::kfuncs::KfuncFlags;

use super::{Meta, argument, iter, kinds, nodes, objects};
use crate::{
    access::{AccessKind, context},
    calls::fields::{Fields, Special},
    env::Env,
    error::{Check, reject},
    state::{BtfRef, BtfType, PtrFlags, RegKind, RegState, State},
};

/// Sets `r0` after the arguments were checked and released.
pub fn set(env: &mut Env<'_>, st: &mut State, meta: &Meta<'_>) -> Check {
    let (_, ret) = meta.btf.resolve(meta.proto.ret);
    let value = match ret.kind {
        Kind::Void => RegState::NOT_INIT,
        Kind::Ptr(target) => pointer(env, st, meta, target)?,
        _ if kinds::is_scalar(meta.btf, meta.proto.ret) => {
            if meta.name().starts_with("bpf_res_spin_lock") {
                RegState::constant(0)
            } else {
                RegState::UNKNOWN
            }
        }
        _ => {
            return Err(reject!(
                Types,
                EINVAL,
                "kernel function {} returns a type that is not supported",
                meta.name()
            ));
        }
    };
    *st.reg_mut(Reg::R0) = value;
    Ok(())
}

fn pointer(
    env: &mut Env<'_>,
    st: &mut State,
    meta: &Meta<'_>,
    declared: TypeId,
) -> Check<RegState> {
    let (target, underneath) = meta.btf.resolve(declared);
    let mut value = match special(env, meta)? {
        Some(value) => value,
        None if matches!(underneath.kind, Kind::Void) => RegState::UNKNOWN,
        None if !matches!(underneath.kind, Kind::Struct { .. }) => memory(meta, target)?,
        None => object(st, meta, target),
    };
    if !value.is_pointer() {
        return Ok(value);
    }
    if meta.may_return_null() {
        value.flags |= PtrFlags::MAYBE_NULL;
        value.id = env.new_id();
    }
    if meta.is(KfuncFlags::ACQUIRE) {
        let id = env.new_id();
        st.refs.acquire(id, env.slot);
        if meta.may_return_null() {
            value.id = id;
        }
        value.ref_id = id;
    } else if matches!(&*underneath.name, "bpf_rb_node" | "bpf_list_node") {
        value = nodes::borrowed(env, value);
    }
    if value.id == 0 && may_hold_lock(env, &value) {
        value.id = env.new_id();
    }
    Ok(value)
}

fn may_hold_lock(env: &Env<'_>, value: &RegState) -> bool {
    match value.kind {
        RegKind::MapValue { map, .. } => env.map(map).fields.has_lock(),
        RegKind::Btf(ty) if value.flags.contains(PtrFlags::ALLOC) => {
            let fields = Fields::of_type(env, ty);
            fields.has(Special::SpinLock) || fields.has(Special::ResSpinLock)
        }
        _ => false,
    }
}

/// Functions whose result follows rules of their own.
fn special(env: &mut Env<'_>, meta: &Meta<'_>) -> Check<Option<RegState>> {
    let of_root = || {
        meta.root.as_ref().and_then(nodes::of_root).ok_or_else(|| {
            reject!(
                SpecialObject,
                EINVAL,
                "the root does not say what it contains"
            )
        })
    };
    Ok(Some(match meta.name() {
        "bpf_obj_new_impl" | "bpf_percpu_obj_new_impl" => objects::made(env, meta)?,
        "bpf_refcount_acquire_impl" => match meta.object {
            Some(ty) => RegState::pointer(RegKind::Btf(ty)).with_flags(PtrFlags::ALLOC),
            None => return Ok(None),
        },
        "bpf_list_pop_front" | "bpf_list_pop_back" | "bpf_list_front" | "bpf_list_back"
        | "bpf_rbtree_remove" | "bpf_rbtree_first" | "bpf_rbtree_root" | "bpf_rbtree_left"
        | "bpf_rbtree_right" => of_root()?,
        "bpf_cast_to_kern_ctx" => match meta.object {
            Some(ty) => RegState::pointer(RegKind::Btf(ty)).with_flags(PtrFlags::TRUSTED),
            None => return Ok(None),
        },
        "bpf_rdonly_cast" => readonly_cast(meta)?,
        "bpf_dynptr_slice" | "bpf_dynptr_slice_rdwr" => slice(env, meta)?,
        _ => return Ok(None),
    }))
}

fn readonly_cast(meta: &Meta<'_>) -> Check<RegState> {
    let value = meta.constant.unwrap_or(0);
    let id = u32::try_from(value)
        .ok()
        .map(TypeId)
        .filter(|&id| meta.btf.get(id).is_some());
    let Some(id) = id else {
        return Err(reject!(
            Types,
            EINVAL,
            "Unknown type ID {value} passed to kfunc bpf_rdonly_cast"
        ));
    };
    match meta.btf.kind(id) {
        Kind::Struct { .. } | Kind::Union { .. } => {
            let ty = BtfType {
                btf: BtfRef::Kernel,
                id,
            };
            Ok(RegState::pointer(RegKind::Btf(ty)).with_flags(PtrFlags::UNTRUSTED))
        }
        Kind::Void => {
            let memory = RegKind::Mem {
                size: 0,
                dynptr_id: 0,
            };
            Ok(RegState::pointer(memory).with_flags(PtrFlags::RDONLY | PtrFlags::UNTRUSTED))
        }
        _ => Err(reject!(
            Types,
            EINVAL,
            "kfunc bpf_rdonly_cast type ID argument must be of a struct or void"
        )),
    }
}

fn slice(env: &mut Env<'_>, meta: &Meta<'_>) -> Check<RegState> {
    let (Some(dynptr), Some(size)) = (meta.dynptr, meta.constant) else {
        return Err(reject!(
            SpecialObject,
            EFAULT,
            "no dynptr to take a slice of"
        ));
    };
    let mut flags = PtrFlags::empty();
    flags.set(PtrFlags::PACKET_SLICE, argument::is_packet(dynptr.kind));
    if meta.name() == "bpf_dynptr_slice" {
        flags |= PtrFlags::RDONLY;
    } else {
        if !context::may_access_packet(env, AccessKind::Write) {
            return Err(reject!(
                NotAllowed,
                EINVAL,
                "the prog does not allow writes to packet data"
            ));
        }
        env.seen_direct_write = true;
    }
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    let memory = RegKind::Mem {
        size,
        dynptr_id: dynptr.id,
    };
    Ok(RegState::pointer(memory).with_flags(flags))
}

/// A pointer to a number: memory of its size.
fn memory(meta: &Meta<'_>, target: TypeId) -> Check<RegState> {
    let by_type = || {
        meta.btf
            .size_of(target)
            .filter(|&size| size > 0)
            .map(|size| (size, true))
    };
    let found = match meta.memory {
        Some(memory) => Some(memory),
        None if meta.name() == "bpf_session_cookie" => Some((8, false)),
        None => by_type(),
    };
    let Some((size, readonly)) = found else {
        let ty = meta.btf.resolve(target).1;
        return Err(reject!(
            Types,
            EINVAL,
            "kernel function {} returns pointer type {} {} is not supported",
            meta.name(),
            ty.kind.tag().name(),
            ty.name
        ));
    };
    let mut flags = PtrFlags::empty();
    flags.set(PtrFlags::RDONLY, readonly);
    flags.set(PtrFlags::RCU, meta.is(KfuncFlags::RCU_PROTECTED));
    let memory = RegKind::Mem { size, dynptr_id: 0 };
    Ok(RegState::pointer(memory)
        .with_flags(flags)
        .with_ref(meta.ref_id))
}

fn object(st: &State, meta: &Meta<'_>, id: TypeId) -> RegState {
    let mut flags = PtrFlags::empty();
    if meta.name() == "bpf_get_kmem_cache" {
        flags |= PtrFlags::UNTRUSTED;
    } else if meta.is(KfuncFlags::RCU_PROTECTED) {
        flags |= PtrFlags::RCU;
    }
    if meta.is(KfuncFlags::ITER_NEXT) {
        flags |= if iter::is_rcu(st, meta) {
            PtrFlags::RCU
        } else {
            PtrFlags::TRUSTED
        };
    }
    let ty = BtfType {
        btf: BtfRef::Kernel,
        id,
    };
    RegState::pointer(RegKind::Btf(ty)).with_flags(flags)
}
