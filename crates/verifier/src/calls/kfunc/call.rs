//! A call of a kernel function as a whole.

use panal_isa::Reg;
use panal_uapi::kfuncs::KfuncFlags;

use super::{Meta, argument, iter, nodes, result};
use crate::{
    access::context,
    calls::{callbacks, graph, helper::release_reference, in_rcu},
    domain::Scalar,
    env::Env,
    error::{Check, reject},
    explore,
    proof::CallFact,
    state::{PtrFlags, RegState, SlotType, State},
    subprograms::{CallbackTime, enter_callback},
};

/// Checks the call of a kernel function.
pub fn check(env: &mut Env<'_>, st: &mut State, id: i32, object: i16) -> Check {
    let mut meta = super::find(env, id, object)?;
    super::check_lock(st, meta.name())?;
    if meta.name() == "__bpf_trap" {
        return Err(reject!(
            Uninitialized,
            EFAULT,
            "unexpected __bpf_trap() due to uninitialized variable?"
        ));
    }
    let sleeps = meta.is(KfuncFlags::SLEEPABLE);
    if sleeps && !st.sleepable {
        return Err(reject!(
            NotAllowed,
            EACCES,
            "program must be sleepable to call sleepable kfunc {}",
            meta.name()
        ));
    }
    if meta.name().starts_with("bpf_res_spin_lock") {
        fail_to_lock(env, st)?;
    }
    argument::check_all(env, st, &mut meta)?;
    call_back(env, st, &meta)?;
    sections(env, st, &meta, sleeps)?;
    release(env, st, &meta)?;
    if meta.name() == "bpf_throw" {
        check_cookie(env, st)?;
    }
    st.frame_mut().clobber_caller_saved();
    result::set(env, st, &meta)?;
    if meta.name() == "bpf_xdp_pull_data" {
        st.invalidate_packet_pointers(env.invalidated());
    }
    if meta.is(KfuncFlags::ITER_NEXT) {
        iter::step(env, st, &meta)?;
    }
    Ok(())
}

/// A resilient lock may not be had: then the call returns an error and nothing is held.
fn fail_to_lock(env: &mut Env<'_>, st: &State) -> Check {
    let (slot, level) = (env.slot + 1, st.level());
    let failed = explore::push_branch(env, st, slot)?;
    let frame = failed.frame_at_mut(level);
    frame.clobber_caller_saved();
    let range = Scalar {
        smin: -4095,
        smax: -1,
        s32_min: -4095,
        s32_max: -1,
        ..Scalar::UNKNOWN
    };
    frame.regs[0] = RegState::scalar(range);
    Ok(())
}

fn call_back(env: &mut Env<'_>, st: &mut State, meta: &Meta<'_>) -> Check {
    let Some(subprog) = meta.subprog else {
        return Ok(());
    };
    let slot = env.slot;
    let start = env
        .program
        .subprograms
        .get(subprog as usize)
        .map(|s| s.start as u32);
    env.facts.call(
        slot,
        CallFact {
            callback: start,
            ..CallFact::default()
        },
    );
    match (meta.name(), meta.map) {
        ("bpf_rbtree_add_impl", _) => enter_callback(
            env,
            st,
            subprog,
            CallbackTime::Now,
            |env, caller, callee| nodes::less_arguments(env, caller, callee),
        ),
        ("bpf_wq_set_callback_impl", Some((map, uid))) => {
            callbacks::later(env, st, subprog, true, map, uid, (0, 0))
        }
        (
            "bpf_task_work_schedule_signal_impl" | "bpf_task_work_schedule_resume_impl",
            Some((map, uid)),
        ) => callbacks::later(env, st, subprog, true, map, uid, (i32::MIN, i32::MAX)),
        _ => Err(reject!(
            NotAllowed,
            EINVAL,
            "kernel function {} does not call back",
            meta.name()
        )),
    }
}

/// RCU and preemption sections.
fn sections(env: &Env<'_>, st: &mut State, meta: &Meta<'_>, sleeps: bool) -> Check {
    let name = meta.name();
    let (lock, unlock) = (name == "bpf_rcu_read_lock", name == "bpf_rcu_read_unlock");
    if (lock || unlock) && graph::in_less_callback(env, st) {
        return Err(reject!(
            Locking,
            EACCES,
            "Calling bpf_rcu_read_{{lock,unlock}} in unnecessary rbtree callback"
        ));
    }
    let within = |place: &str| {
        reject!(
            Locking,
            EACCES,
            "kernel func {name} is sleepable within {place} region"
        )
    };
    if st.refs.rcu > 0 {
        if lock {
            return Err(reject!(
                Locking,
                EINVAL,
                "nested rcu read lock (kernel function {name})"
            ));
        } else if unlock {
            st.refs.rcu = 0;
            end_rcu(st);
        } else if sleeps {
            return Err(within("rcu_read_lock"));
        }
    } else if lock {
        st.refs.rcu = 1;
    } else if unlock {
        return Err(reject!(
            Locking,
            EINVAL,
            "unmatched rcu read unlock (kernel function {name})"
        ));
    }
    match name {
        "bpf_preempt_disable" => st.refs.preempt += 1,
        "bpf_preempt_enable" => match st.refs.preempt.checked_sub(1) {
            Some(depth) => st.refs.preempt = depth,
            None => {
                return Err(reject!(
                    Locking,
                    EINVAL,
                    "unmatched attempt to enable preemption (kernel function {name})"
                ));
            }
        },
        _ if sleeps && st.refs.preempt > 0 => return Err(within("non-preemptible")),
        _ => {}
    }
    if sleeps && st.refs.irq != 0 {
        return Err(within("IRQ-disabled"));
    }
    if meta.is(KfuncFlags::RCU_PROTECTED) && !in_rcu(st) {
        return Err(reject!(
            Locking,
            EACCES,
            "kernel func {name} requires RCU critical section protection"
        ));
    }
    Ok(())
}

/// What RCU kept alive may be gone.
fn end_rcu(st: &mut State) {
    let end = |reg: &mut RegState| {
        reg.flags -= PtrFlags::RCU | PtrFlags::MAYBE_NULL;
        reg.flags |= PtrFlags::UNTRUSTED;
    };
    st.change_regs(|reg| reg.flags.contains(PtrFlags::RCU), end);
    for frame in 0..st.frames.len() {
        let iterators: alloc::vec::Vec<usize> = st.frames[frame]
            .stack
            .iter()
            .enumerate()
            .filter(|(_, slot)| {
                slot.types[7] == SlotType::Iter && slot.reg.flags.contains(PtrFlags::RCU)
            })
            .map(|(index, _)| index)
            .collect();
        for index in iterators {
            end(&mut st.frame_at_mut(frame).stack[index].reg);
        }
    }
}

/// Gives references up, or hands objects over to a list or tree.
fn release(env: &Env<'_>, st: &mut State, meta: &Meta<'_>) -> Check {
    let label = || alloc::format!("kfunc {}#{}", meta.name(), meta.number);
    if let Some(reg) = meta.release {
        let id = st.reg(reg).ref_id;
        if !release_reference(env, st, id) {
            return Err(reject!(
                Reference,
                EINVAL,
                "{} reference has not been acquired before",
                label()
            ));
        }
    }
    let inserts = matches!(
        meta.name(),
        "bpf_list_push_front_impl" | "bpf_list_push_back_impl" | "bpf_rbtree_add_impl"
    );
    if inserts {
        let id = st.reg(Reg::R2).ref_id;
        if !st.refs.holds(id) {
            return Err(reject!(
                Reference,
                EINVAL,
                "{} conversion of owning ref to non-owning failed",
                label()
            ));
        }
        nodes::convert_owned(env, st, id);
        st.refs.forget(id);
    }
    Ok(())
}

/// Without a handler, the cookie of an exception is what the program returns.
fn check_cookie(env: &mut Env<'_>, st: &State) -> Check {
    let handled = env.program.subprograms.iter().any(|s| s.exception_handler);
    let rule = context::return_rule(env)?;
    let (Some((min, max)), false) = (rule.range, handled) else {
        return Ok(());
    };
    let num = st.reg(Reg::R1).num;
    if num.smin >= i64::from(min) && num.smax <= i64::from(max) {
        return crate::precision::mark_reg(env, st, Reg::R1);
    }
    Err(reject!(
        ReturnValue,
        EINVAL,
        "At program exit the register R1 has smin={} smax={} should have been in [{min}, {max}]",
        num.smin,
        num.smax
    ))
}
