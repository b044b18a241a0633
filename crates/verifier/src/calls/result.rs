//! What a helper leaves in the registers.

#![allow(non_upper_case_globals)]

use panal_btf::Kind;
use panal_isa::Reg;
use panal_uapi::{
    MapType,
    helpers::{Return, Traits, id::*},
};

use super::helper::Call;
use crate::{
    access::btf,
    domain::{Scalar, Tnum},
    env::Env,
    error::{Check, reject},
    state::{BtfRef, BtfType, PtrFlags, RegKind, RegState, State},
};

const MAX_ERRNO: i64 = 4095;

/// Clobbers the argument registers and sets `r0`.
pub fn set(env: &mut Env<'_>, st: &mut State, call: &Call) -> Check {
    let mut value = returned(env, call)?;
    if value.may_be_null() {
        value.id = env.new_id();
    }
    let id = call.helper.id;
    let casts = call.signature.traits.contains(Traits::CASTS_POINTER);
    if casts {
        value.ref_id = call.ref_id;
    } else if id == BPF_FUNC_dynptr_data {
        value.ref_id = call.dynptr.map_or(0, |dynptr| dynptr.ref_id);
    } else if acquires(env, call) {
        let reference = env.new_id();
        st.refs.acquire(reference, env.slot);
        value.id = reference;
        value.ref_id = reference;
    }
    st.frame_mut().clobber_caller_saved();
    *st.reg_mut(Reg::R0) = value;
    Ok(())
}

/// Lookups in socket maps take a reference on the socket.
fn acquires(env: &Env<'_>, call: &Call) -> bool {
    call.signature.traits.contains(Traits::ACQUIRES)
        || (call.helper.id == BPF_FUNC_map_lookup_elem
            && call.map.is_some_and(|(map, _)| {
                matches!(env.map_type(map), MapType::Sockmap | MapType::Sockhash)
            }))
}

fn returned(env: &mut Env<'_>, call: &Call) -> Check<RegState> {
    const NULL: PtrFlags = PtrFlags::MAYBE_NULL;
    let nullable = |kind| RegState::pointer(kind).with_flags(NULL);
    let kernel = |env: &Env<'_>, name| {
        let id = btf::kernel_struct(env, name)?;
        Ok(RegKind::Btf(BtfType {
            btf: BtfRef::Kernel,
            id,
        }))
    };
    Ok(match call.signature.ret {
        Return::Integer => RegState::scalar(refined(env, call)),
        Return::Void => RegState::NOT_INIT,
        Return::MapValue => map_value(env, call, PtrFlags::empty())?,
        Return::MapValueOrNull => {
            let known = known_element(env, call);
            map_value(env, call, if known { PtrFlags::empty() } else { NULL })?
        }
        Return::SocketOrNull => nullable(RegKind::Socket),
        Return::SockCommonOrNull => nullable(RegKind::SockCommon),
        Return::TcpSockOrNull => nullable(RegKind::TcpSock),
        Return::RingbufMemOrNull => {
            let memory = RegKind::Mem {
                size: call.alloc_size,
                dynptr_id: 0,
            };
            nullable(memory).with_flags(NULL | PtrFlags::RINGBUF)
        }
        Return::DynptrMemOrNull => {
            let dynptr_id = call.dynptr.map_or(0, |dynptr| dynptr.id);
            nullable(RegKind::Mem {
                size: call.alloc_size,
                dynptr_id,
            })
        }
        Return::PerCpu => per_cpu(env, call, PtrFlags::empty())?,
        Return::PerCpuOrNull => per_cpu(env, call, NULL)?,
        Return::Btf(name) => RegState::pointer(kernel(env, name)?),
        Return::TrustedBtf(name) => {
            RegState::pointer(kernel(env, name)?).with_flags(PtrFlags::TRUSTED)
        }
        Return::BtfOrNull(name) => nullable(kernel(env, name)?),
        Return::KptrOrNull => match &call.kptr {
            Some(kptr) => nullable(RegKind::Btf(kptr.target)).with_flags(NULL | kptr.local_flags()),
            None => return Err(reject!(SpecialObject, EINVAL, "R1 has no valid kptr")),
        },
    })
}

/// Bounds of a number that the helper returns.
fn refined(env: &Env<'_>, call: &Call) -> Scalar {
    match call.helper.id {
        BPF_FUNC_get_stack
        | BPF_FUNC_get_task_stack
        | BPF_FUNC_probe_read_str
        | BPF_FUNC_probe_read_kernel_str
        | BPF_FUNC_probe_read_user_str => {
            let max = i64::try_from(call.size_max).unwrap_or(i64::MAX);
            between(-MAX_ERRNO, max)
        }
        BPF_FUNC_get_smp_processor_id => between(0, i64::from(env.request.profile.limits.cpus) - 1),
        _ => Scalar::UNKNOWN,
    }
}

/// A number in this interval, in 32 and 64 bits alike.
fn between(min: i64, max: i64) -> Scalar {
    let low = i32::try_from(min).unwrap_or(i32::MIN);
    let high = i32::try_from(max).unwrap_or(i32::MAX);
    let mut num = Scalar {
        smin: min,
        smax: max,
        s32_min: low,
        s32_max: high,
        ..Scalar::UNKNOWN
    };
    if min >= 0 {
        num.umin = min as u64;
        num.umax = max as u64;
        num.u32_min = low as u32;
        num.u32_max = high as u32;
        num.bits = Tnum::range(num.umin, num.umax);
    }
    num
}

fn map_value(env: &mut Env<'_>, call: &Call, flags: PtrFlags) -> Check<RegState> {
    let Some((map, uid)) = call.map else {
        return Err(reject!(
            WrongType,
            EINVAL,
            "kernel subsystem misconfigured verifier"
        ));
    };
    let mut value = RegState::pointer(RegKind::MapValue { map, uid }).with_flags(flags);
    // Locks are told apart by the id of the value that they lie in.
    if flags.is_empty() && env.map(map).fields.has_lock() {
        value.id = env.new_id();
    }
    Ok(value)
}

/// Whether the key is known to lie in the array.
fn known_element(env: &Env<'_>, call: &Call) -> bool {
    call.helper.id == BPF_FUNC_map_lookup_elem
        && matches!((call.key, call.map), (Some(key), Some((map, _)))
            if matches!(env.map_type(map), MapType::Array | MapType::PercpuArray)
                && key < u64::from(env.map(map).desc.max_entries))
}

fn per_cpu(env: &Env<'_>, call: &Call, flags: PtrFlags) -> Check<RegState> {
    let Some((ty, allocated)) = call.percpu else {
        return Err(reject!(
            WrongType,
            EACCES,
            "Helper has invalid btf_id in R1"
        ));
    };
    let btf = env
        .btf(ty.btf)
        .ok_or_else(|| reject!(Types, EINVAL, "no BTF for the per-CPU variable"))?;
    let (id, underneath) = btf.resolve(ty.id);
    if matches!(underneath.kind, Kind::Struct { .. }) {
        let flags = if allocated {
            flags | PtrFlags::ALLOC | PtrFlags::RCU
        } else {
            flags
        };
        return Ok(RegState::pointer(RegKind::Btf(BtfType { id, ..ty })).with_flags(flags));
    }
    let size = btf.size_of(id).ok_or_else(|| {
        reject!(
            Types,
            EINVAL,
            "unable to resolve the size of type '{}': -22",
            underneath.name
        )
    })?;
    let memory = RegKind::Mem { size, dynptr_id: 0 };
    Ok(RegState::pointer(memory).with_flags(flags | PtrFlags::RDONLY))
}
