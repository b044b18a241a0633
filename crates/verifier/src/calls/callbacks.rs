//! Helpers that call a function of the program: what its arguments are, what it may return.

#![allow(non_upper_case_globals)]

use panal_isa::Reg;
use panal_uapi::helpers::{can_be_walked, id::*};

use super::{MapSeen, helper::Call};
use crate::{
    access::btf,
    env::Env,
    error::{Check, reject},
    precision,
    state::{BtfRef, BtfType, DynptrKind, Frame, MapRef, RegKind, RegState, State},
    subprograms::{CallbackTime, enter_callback},
};

/// The helper calls `call.subprog` back.
pub fn enter(env: &mut Env<'_>, st: &mut State, call: &Call) -> Check {
    let Some(subprog) = call.subprog else {
        return Err(reject!(WrongType, EINVAL, "callback function is not known"));
    };
    match call.helper.id {
        BPF_FUNC_for_each_map_elem => {
            let slot = env.slot;
            let seen = env.aux.get(slot).map(|aux| aux.call.map);
            if matches!(seen, Some(MapSeen::Several)) && !env.since(6, 10) {
                return Err(reject!(
                    NotAllowed,
                    EINVAL,
                    "callback with different maps on different paths"
                ));
            }
            if let Some((map, _)) = call.map
                && !can_be_walked(env.map_type(map))
            {
                return Err(reject!(
                    NotAllowed,
                    ENOTSUPP,
                    "callback function not allowed for map"
                ));
            }
            enter_callback(env, st, subprog, CallbackTime::Now, |_, caller, callee| {
                let Some((map, uid)) = map_of(&caller.regs[1]) else {
                    return Ok(());
                };
                element_arguments(callee, map, uid);
                callee.regs[4] = caller.regs[3];
                callee.return_range = Some((0, 1));
                Ok(())
            })
        }
        BPF_FUNC_loop => enter_loop(env, st, subprog),
        BPF_FUNC_find_vma => enter_callback(
            env,
            st,
            subprog,
            CallbackTime::Now,
            |env, caller, callee| {
                callee.regs[1] = caller.regs[1];
                let id = btf::kernel_struct(env, "vm_area_struct")?;
                let vma = RegKind::Btf(BtfType {
                    btf: BtfRef::Kernel,
                    id,
                });
                callee.regs[2] = RegState::pointer(vma);
                callee.regs[3] = caller.regs[4];
                callee.return_range = Some((0, 1));
                Ok(())
            },
        ),
        BPF_FUNC_user_ringbuf_drain => enter_callback(
            env,
            st,
            subprog,
            CallbackTime::Now,
            |env, caller, callee| {
                let kind = RegKind::Dynptr {
                    kind: DynptrKind::Local,
                    first: true,
                };
                callee.regs[1] = RegState::pointer(kind).with_id(env.new_id());
                callee.regs[2] = caller.regs[3];
                callee.return_range = Some((0, 1));
                Ok(())
            },
        ),
        BPF_FUNC_timer_set_callback => {
            let Some((map, uid)) = call.map else {
                return Ok(());
            };
            later(env, st, subprog, false, map, uid, (0, 0))
        }
        _ => Err(reject!(NotAllowed, EINVAL, "helper does not call back")),
    }
}

/// Whether the path is inside a callback of `bpf_loop` that has used up its iterations.
fn enter_loop(env: &mut Env<'_>, st: &mut State, subprog: u32) -> Check {
    if !st.reg(Reg::R1).is_scalar() {
        return Err(
            reject!(WrongType, EFAULT, "verifier bug: backtracking misuse")
                .because("the number of rounds must be a number, not a pointer"),
        );
    }
    precision::mark_reg(env, st, Reg::R1)?;
    let done = u64::from(st.frame().callback_depth);
    if done >= st.reg(Reg::R1).num.umax {
        st.frame_mut().callback_depth = 0;
        return Ok(());
    }
    enter_callback(env, st, subprog, CallbackTime::Now, |_, caller, callee| {
        callee.regs[1] = RegState::UNKNOWN;
        callee.regs[2] = caller.regs[3];
        callee.return_range = Some((0, 1));
        Ok(())
    })
}

/// A timer, workqueue or task work in a value of the map calls the function later.
pub fn later(
    env: &mut Env<'_>,
    st: &mut State,
    subprog: u32,
    sleepable: bool,
    map: MapRef,
    uid: u32,
    range: (i32, i32),
) -> Check {
    enter_callback(
        env,
        st,
        subprog,
        CallbackTime::Later { sleepable },
        |_, _, callee| {
            element_arguments(callee, map, uid);
            callee.return_range = Some(range);
            Ok(())
        },
    )
}

/// The map, a key and its value in `r1` to `r3`.
fn element_arguments(callee: &mut Frame, map: MapRef, uid: u32) {
    callee.regs[1] = RegState::pointer(RegKind::MapPtr { map, uid });
    callee.regs[2] = RegState::pointer(RegKind::MapKey { map, uid });
    callee.regs[3] = RegState::pointer(RegKind::MapValue { map, uid });
}

fn map_of(reg: &RegState) -> Option<(MapRef, u32)> {
    match reg.kind {
        RegKind::MapPtr { map, uid } => Some((map, uid)),
        _ => None,
    }
}
