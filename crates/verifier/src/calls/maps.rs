//! Map arguments: which helper with which map, constant keys.

#![allow(non_upper_case_globals)]

use panal_isa::Reg;
use panal_uapi::{
    AttachType, MapType, ProgType,
    helpers::{fits_map, id::*, is_socket_map_change},
    kernel::{MapFlags, ProgFlags},
};

use super::{
    MapSeen,
    fields::Special,
    helper::{Call, label},
};
use crate::{
    access::{AccessKind, context, memory},
    env::{Env, Map},
    error::{Check, reject},
    precision,
    state::{MapRef, RegKind, RegState, State},
};

/// The map argument itself.
pub fn argument(call: &mut Call, state: &RegState) -> Check {
    let RegKind::MapPtr { map, uid } = state.kind else {
        return Ok(());
    };
    if let Some((other, other_uid)) = call.map
        && (other, other_uid) != (map, uid)
    {
        // A timer was given before: it must lie in a value of this very map.
        return Err(reject!(
            SpecialObject,
            EINVAL,
            "timer pointer in R1 map_uid={other_uid} doesn't match map pointer in R2 map_uid={uid}"
        ));
    }
    call.map = Some((map, uid));
    Ok(())
}

/// Whether the helper goes with the map's type.
pub fn check_compatibility(env: &Env<'_>, call: &Call) -> Check {
    let Some((map, _)) = call.map else {
        return Ok(());
    };
    let (id, map_type) = (call.helper.id, env.map_type(map));
    let changed = is_socket_map_change(id, map_type) && !may_change_socket_map(env, id);
    if fits_map(id, map_type) && !changed {
        return Ok(());
    }
    let first = if changed {
        "cannot update sockmap in this context\n"
    } else {
        ""
    };
    let linux = reject!(
        NotAllowed,
        EINVAL,
        "{first}cannot pass map_type {} into func {}",
        map_type.number(),
        label(call.helper)
    );
    Err(linux.because(alloc::format!(
        "`bpf_{}` does not work with a map of type {map_type}",
        call.helper.name
    )))
}

/// Whether the program may use a map at all.
pub fn check_use(env: &Env<'_>, map: &Map<'_>) -> Check {
    let prog_type = context::effective_type(env);
    let tracing = matches!(
        prog_type,
        ProgType::Kprobe
            | ProgType::Tracepoint
            | ProgType::PerfEvent
            | ProgType::RawTracepoint
            | ProgType::RawTracepointWritable
    );
    let has = |kinds: &[Special]| kinds.iter().any(|&kind| map.fields.has(kind));
    let refused = |who: &str, what: &str| {
        Err(reject!(
            NotAllowed,
            EINVAL,
            "{who} progs cannot use {what} yet"
        ))
    };
    if tracing && has(&[Special::ListHead, Special::RbRoot]) {
        return refused("tracing", "bpf_{list_head,rb_root}");
    }
    if has(&[Special::SpinLock, Special::ResSpinLock]) {
        if prog_type == ProgType::SocketFilter {
            return refused("socket filter", "bpf_spin_lock");
        }
        if tracing {
            return refused("tracing", "bpf_spin_lock");
        }
    }
    if tracing && has(&[Special::Timer]) {
        return refused("tracing", "bpf_timer");
    }
    if tracing && has(&[Special::Workqueue]) {
        return refused("tracing", "bpf_wq");
    }
    if map.desc.map_type == MapType::StructOps {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "bpf_struct_ops map cannot be used in prog"
        ));
    }
    let sleepable = env.request.flags.contains(ProgFlags::SLEEPABLE);
    if sleepable && !fits_sleepable(map.desc.map_type) {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "Sleepable programs can only use array, hash, ringbuf and local storage maps"
        ));
    }
    Ok(())
}

/// Map types that sleepable programs may use.
fn fits_sleepable(map_type: MapType) -> bool {
    matches!(
        map_type,
        MapType::Hash
            | MapType::LruHash
            | MapType::Array
            | MapType::PercpuHash
            | MapType::PercpuArray
            | MapType::LruPercpuHash
            | MapType::ArrayOfMaps
            | MapType::HashOfMaps
            | MapType::Ringbuf
            | MapType::UserRingbuf
            | MapType::InodeStorage
            | MapType::SkStorage
            | MapType::TaskStorage
            | MapType::CgrpStorage
            | MapType::Queue
            | MapType::Stack
            | MapType::Arena
            | MapType::StructOps
    )
}

/// Program types that may put sockets into socket maps and take them out.
fn may_change_socket_map(env: &Env<'_>, id: u32) -> bool {
    match env.request.prog_type {
        ProgType::Tracing => env.request.attach_type == Some(AttachType::TraceIter),
        ProgType::SockOps => id == BPF_FUNC_map_delete_elem,
        ProgType::SocketFilter
        | ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::Xdp
        | ProgType::SkReuseport
        | ProgType::FlowDissector
        | ProgType::SkLookup => true,
        _ => false,
    }
}

/// Remembers over all paths which map the call is made with, and refuses changes of maps that are
/// read-only for programs.
pub fn record(env: &mut Env<'_>, _st: &State, call: &Call) -> Check {
    let id = call.helper.id;
    let Some((map, _)) = call.map else {
        return Ok(());
    };
    let changes = matches!(
        id,
        BPF_FUNC_map_delete_elem
            | BPF_FUNC_map_update_elem
            | BPF_FUNC_map_push_elem
            | BPF_FUNC_map_pop_elem
    );
    if changes && env.map(map).desc.flags.contains(MapFlags::RDONLY_PROG) {
        let text = "write into map forbidden".into();
        return Err(memory::forbidden_map(env, map, AccessKind::Write, text));
    }
    let slot = env.slot;
    if let Some(aux) = env.aux.get_mut(slot) {
        aux.call.map = match aux.call.map {
            MapSeen::None => MapSeen::One(map),
            MapSeen::One(other) if other == map => MapSeen::One(map),
            _ => MapSeen::Several,
        };
    }
    Ok(())
}

/// The key of a tail call, if it is known.
pub fn tail_call_key(env: &mut Env<'_>, st: &State, call: &Call) -> Check<Option<u64>> {
    let Some((map, _)) = call
        .map
        .filter(|(map, _)| env.map_type(*map) == MapType::ProgArray)
    else {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "expected prog array map for tail call"
        ));
    };
    let several = env
        .aux
        .get(env.slot)
        .is_some_and(|aux| aux.call.map == MapSeen::Several);
    if several && env.contains_speculation() {
        return Err(reject!(NotAllowed, EINVAL, "tail_call abusing map_ptr").because(
            "a tail call must be made with one map, so that its index can be masked for this loader",
        ));
    }
    // A call beyond the array's end does nothing, whatever the number.
    let max_entries = u64::from(env.map(map).desc.max_entries);
    let key = st.reg(Reg::R3).as_const().filter(|key| *key < max_entries);
    if key.is_some() {
        precision::mark_reg(env, st, Reg::R3)?;
    }
    Ok(key)
}

/// The known key of a lookup in an array, whose result then cannot be null.
pub fn constant_key(
    env: &mut Env<'_>,
    st: &State,
    map: MapRef,
    state: &RegState,
    size: u32,
) -> Check<Option<u64>> {
    if !matches!(env.map_type(map), MapType::Array | MapType::PercpuArray) || size != 4 {
        return Ok(None);
    }
    let Some((frame, off)) = place_on_stack(state) else {
        return Ok(None);
    };
    precision::constant_on_stack(env, st, usize::from(frame), off, size)
}

/// The frame, and the place in it, that a register points to.
fn place_on_stack(state: &RegState) -> Option<(u8, i32)> {
    let RegKind::Stack { frame } = state.kind else {
        return None;
    };
    let off = i64::from(state.off).wrapping_add(state.num.as_const()? as i64);
    Some((frame, i32::try_from(off).ok()?))
}

/// Where the key that a register points to begins in the frame of the function that runs.
pub fn key_place(st: &State, state: &RegState) -> Option<i32> {
    let (frame, off) = place_on_stack(state)?;
    (usize::from(frame) == st.level()).then_some(off)
}
