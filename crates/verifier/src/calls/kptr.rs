//! Kptrs: objects that map values and allocated objects own.

use alloc::format;

use panal_isa::Reg;

use super::{
    args,
    fields::{Fields, Kptr, Special},
    helper::Call,
    sections,
};
use crate::{
    access::btf,
    env::Env,
    error::{Check, reject},
    state::{BtfRef, PtrFlags, RegKind, RegState, State},
};

/// Kernel types whose objects live on for readers in RCU sections.
const RCU_PROTECTED: &[&str] = &[
    "prog_test_ref_kfunc",
    "cgroup",
    "bpf_cpumask",
    "task_struct",
    "bpf_crypto_ctx",
];

/// Whether a load of the field may be used in an RCU section.
pub fn is_rcu_safe(env: &Env<'_>, kptr: &Kptr) -> bool {
    match kptr.kind {
        Special::KptrPercpu => true,
        Special::Kptr => match kptr.target.btf {
            BtfRef::Kernel => RCU_PROTECTED.contains(
                &env.btf(kptr.target.btf)
                    .map_or("", |btf| btf.name(kptr.target.id)),
            ),
            _ => true,
        },
        _ => false,
    }
}

/// Where `bpf_kptr_xchg` puts the new object.
pub fn destination(env: &mut Env<'_>, st: &State, call: &mut Call, reg: Reg) -> Check {
    let (state, n) = (st.reg(reg), reg.number());
    let found;
    let fields = match state.kind {
        RegKind::MapValue { map, uid } => {
            let entry = env.map(map);
            if entry.desc.types.is_none() {
                return Err(reject!(
                    SpecialObject,
                    EINVAL,
                    "map '{}' has to have BTF in order to use bpf_kptr_xchg",
                    entry.desc.name
                ));
            }
            call.map = Some((map, uid));
            &entry.fields
        }
        RegKind::Btf(ty) => {
            found = Fields::of_type(env, ty);
            &found
        }
        _ => return Err(reject!(SpecialObject, EINVAL, "R{n} has no valid kptr")),
    };
    let Some(var) = state.num.as_const() else {
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "R{n} doesn't have constant offset. kptr has to be at the constant offset"
        ));
    };
    const KPTRS: &[Special] = &[Special::KptrUntrusted, Special::Kptr, Special::KptrPercpu];
    if !KPTRS.iter().any(|&kind| fields.has(kind)) {
        return Err(reject!(SpecialObject, EINVAL, "R{n} has no valid kptr"));
    }
    let at = i64::from(state.off).wrapping_add(var as i64);
    let Some(field) = fields.at(at, KPTRS) else {
        return Err(reject!(
            SpecialObject,
            EACCES,
            "off={at} doesn't point to kptr"
        ));
    };
    let target = match field.target {
        Some(target) if field.kind != Special::KptrUntrusted => target,
        _ => {
            return Err(reject!(
                SpecialObject,
                EACCES,
                "off={at} kptr isn't referenced kptr"
            ));
        }
    };
    call.kptr = Some(Kptr {
        kind: field.kind,
        target,
    });
    Ok(())
}

/// The object that is put there must be of the field's type.
pub fn check_match(env: &Env<'_>, call: &Call, state: &RegState, n: u8) -> Check {
    match &call.kptr {
        Some(kptr) => matches(env, kptr, state, n).map_err(|refusal| {
            let body = refusal.into_body();
            crate::error::Reject::new(body.class, panal_uapi::Errno::EACCES, body.linux)
        }),
        None => Err(reject!(SpecialObject, EINVAL, "R1 has no valid kptr")),
    }
}

/// Whether a pointer may be stored into the field.
pub fn matches(env: &Env<'_>, kptr: &Kptr, state: &RegState, n: u8) -> Check {
    let untrusted = kptr.kind == Special::KptrUntrusted;
    if let RegKind::Btf(ty) = state.kind {
        let mut allowed = PtrFlags::MAYBE_NULL;
        if ty.btf == BtfRef::Kernel {
            allowed |= PtrFlags::TRUSTED | PtrFlags::RCU;
            allowed.set(PtrFlags::UNTRUSTED, untrusted);
        } else {
            allowed |= PtrFlags::ALLOC;
            allowed.set(PtrFlags::PERCPU, kptr.kind == Special::KptrPercpu);
        }
        if (state.flags - allowed).is_empty() {
            args::check_pointer_offset(state, n, true)?;
            let target = kptr.target;
            if btf::is_a(env, ty, state.off, target.btf, target.id, !untrusted) {
                return Ok(());
            }
        }
    }
    let name_of = |ty: crate::state::BtfType| env.btf(ty.btf).map_or("", |btf| btf.name(ty.id));
    let name = match state.kind {
        RegKind::Btf(ty) => name_of(ty),
        _ => "",
    };
    let target = name_of(kptr.target);
    let or = if untrusted {
        format!(" or untrusted_ptr_{target}")
    } else {
        "".into()
    };
    Err(reject!(
        SpecialObject,
        EINVAL,
        "invalid kptr access, R{n} type={}{name} expected=ptr_{target}{or}",
        state.type_name()
    ))
}

/// The reference goes into the map. Per-CPU objects stay readable in the RCU section.
pub fn give_away(env: &Env<'_>, st: &mut State, call: &Call) -> Check {
    let id = call.ref_id;
    let in_rcu = sections::in_rcu(st);
    if !st.refs.forget(id) {
        return Err(reject!(
            Reference,
            EINVAL,
            "func bpf_kptr_xchg#194 reference has not been acquired before"
        ));
    }
    let becomes = env.invalidated();
    let which = |reg: &RegState| reg.ref_id == id && reg.is_pointer();
    st.change_regs(which, |reg| {
        if in_rcu && reg.flags.contains(PtrFlags::ALLOC | PtrFlags::PERCPU) {
            reg.ref_id = 0;
            reg.flags -= PtrFlags::ALLOC;
            reg.flags |= PtrFlags::RCU;
        } else {
            *reg = becomes;
        }
    });
    Ok(())
}
