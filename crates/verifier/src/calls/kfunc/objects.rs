//! Objects that a program allocates: `bpf_obj_new`, `bpf_obj_drop`, reference counts.

use panal_btf::Kind;

use super::Meta;
use crate::{
    calls::fields::{Fields, Special},
    env::Env,
    error::{Check, reject},
    state::{BtfRef, BtfType, PtrFlags, RegKind, RegState},
};

/// Greatest size of a per-CPU object.
const MAX_PERCPU: u32 = 512;

/// An object that is given back.
pub fn released(_env: &Env<'_>, meta: &mut Meta<'_>, index: usize, state: &RegState) -> Check {
    let RegKind::Btf(ty) = state.kind else {
        return Err(not_allocated(index));
    };
    let wanted = if state.flags == PtrFlags::ALLOC {
        "bpf_obj_drop_impl"
    } else if state.flags == PtrFlags::ALLOC | PtrFlags::PERCPU {
        "bpf_percpu_obj_drop_impl"
    } else {
        return Err(not_allocated(index));
    };
    if meta.name() != wanted {
        return Err(reject!(
            WrongType,
            EINVAL,
            "arg#{index} expected for {wanted}()"
        ));
    }
    if state.ref_id == 0 {
        return Err(reject!(
            Reference,
            EINVAL,
            "allocated object must be referenced"
        ));
    }
    meta.object = Some(ty);
    Ok(())
}

fn not_allocated(index: usize) -> crate::error::Reject {
    reject!(
        WrongType,
        EINVAL,
        "arg#{index} expected pointer to allocated object"
    )
}

/// An object whose reference count is increased.
pub fn counted(env: &Env<'_>, meta: &mut Meta<'_>, index: usize, state: &RegState) -> Check {
    let RegKind::Btf(ty) = state.kind else {
        return Err(neither(index));
    };
    if !state.flags.contains(PtrFlags::ALLOC) {
        return Err(neither(index));
    }
    if !state.flags.contains(PtrFlags::NON_OWN_REF) {
        meta.owning = true;
    }
    if !Fields::of_type(env, ty).has(Special::Refcount) {
        return Err(reject!(
            WrongType,
            EINVAL,
            "arg#{index} doesn't point to a type with bpf_refcount field"
        ));
    }
    meta.object = Some(ty);
    Ok(())
}

fn neither(index: usize) -> crate::error::Reject {
    reject!(
        WrongType,
        EINVAL,
        "arg#{index} is neither owning or non-owning ref"
    )
}

/// What `bpf_obj_new` and `bpf_percpu_obj_new` give.
pub fn made(env: &Env<'_>, meta: &Meta<'_>) -> Check<RegState> {
    let value = meta.constant.unwrap_or(0);
    let Ok(id) = u32::try_from(value) else {
        return Err(reject!(
            Types,
            EINVAL,
            "local type ID argument must be in range [0, U32_MAX]"
        ));
    };
    let Some(btf) = env.btf(BtfRef::Program) else {
        return Err(reject!(
            Types,
            EINVAL,
            "bpf_obj_new/bpf_percpu_obj_new requires prog BTF"
        ));
    };
    let id = panal_btf::TypeId(id);
    let Kind::Struct { size, .. } = *btf.kind(id) else {
        return Err(reject!(
            Types,
            EINVAL,
            "bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct"
        ));
    };
    let ty = BtfType {
        btf: BtfRef::Program,
        id,
    };
    let object = RegState::pointer(RegKind::Btf(ty));
    if meta.name() == "bpf_obj_new_impl" {
        return Ok(object.with_flags(PtrFlags::ALLOC));
    }
    if size > MAX_PERCPU {
        return Err(reject!(
            Types,
            EINVAL,
            "bpf_percpu_obj_new type size ({size}) is greater than {MAX_PERCPU}"
        ));
    }
    if !super::kinds::is_scalar_struct(btf, id, 0) {
        return Err(reject!(
            Types,
            EINVAL,
            "bpf_percpu_obj_new type ID argument must be of a struct of scalars"
        ));
    }
    if !Fields::of_type(env, ty).is_empty() {
        return Err(reject!(
            Types,
            EINVAL,
            "bpf_percpu_obj_new type ID argument must not contain special fields"
        ));
    }
    Ok(object.with_flags(PtrFlags::ALLOC | PtrFlags::PERCPU))
}
