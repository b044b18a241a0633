//! Helper calls: may this program call it, are the arguments right, what changes.

#![allow(non_upper_case_globals)]

use alloc::format;

use panal_isa::Reg;
use panal_uapi::{
    ProgType,
    helpers::{self, Arg, ArgFlags, ArgKind, Helper, Signature, Traits, id::*},
    profile::at_least,
};

use super::{args, callbacks, maps, result, sections};
use crate::{
    access::{context, helper_range, helper_range::RawBuffer},
    env::Env,
    error::{Check, Reject, reject},
    proof::CallFact,
    state::{BtfType, MapRef, RegKind, State},
    transfer::exit,
};

/// The registers of the arguments.
pub(super) const ARGUMENTS: [Reg; 5] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];

/// What the arguments of one call say together.
#[derive(Debug)]
pub struct Call {
    /// The helper.
    pub helper: &'static Helper,
    /// As this program type sees it.
    pub signature: &'static Signature,
    /// The map argument, with the uid of inner maps.
    pub map: Option<(MapRef, u32)>,
    /// The buffer that the helper fills.
    pub raw: Option<RawBuffer>,
    /// The argument that is released.
    pub release: Option<Reg>,
    /// The reference that an argument carries.
    pub ref_id: u32,
    /// Greatest value of the last size argument.
    pub size_max: u64,
    /// Bytes to allocate.
    pub alloc_size: u32,
    /// Type of the per-CPU argument, and whether it is an allocated object.
    pub percpu: Option<(BtfType, bool)>,
    /// The callback.
    pub subprog: Option<u32>,
    /// The constant key of an array lookup.
    pub key: Option<u64>,
    /// Where a map's key begins in the frame of the function that calls.
    pub key_place: Option<i32>,
    /// Where the kptr that is exchanged lives.
    pub kptr: Option<super::fields::Kptr>,
    /// Id and reference of the dynptr argument.
    pub dynptr: Option<super::stack_objects::DynptrUse>,
}

/// The first Linux that follows a tail call from a subprogram to its caller.
pub const TAIL_CALLS_RETURN: (u8, u8) = (6, 18);

/// Linux's name of a helper in messages: `bpf_NAME#NUMBER`.
pub(super) fn label(helper: &Helper) -> alloc::string::String {
    format!("bpf_{}#{}", helper.name, helper.id)
}

/// Checks a helper call.
pub fn check(env: &mut Env<'_>, st: &mut State, id: u32) -> Check {
    let helper = helpers::by_id(id)
        .ok_or_else(|| reject!(NotAllowed, EINVAL, "invalid func unknown#{id}"))?;
    let rules = context::rules(env)?;
    let signature = helper.signature_for(rules.prog_type);
    may_call(env, st, helper, signature)?;
    let mut call = Call {
        helper,
        signature,
        map: None,
        raw: None,
        release: None,
        ref_id: 0,
        size_max: 0,
        alloc_size: 0,
        percpu: None,
        subprog: None,
        key: None,
        key_place: None,
        kptr: None,
        dynptr: None,
    };
    for (index, &arg) in signature.args.iter().enumerate() {
        args::check(env, st, &mut call, index, arg)?;
    }
    maps::record(env, st, &call)?;
    if let Some(raw) = call.raw {
        helper_range::fill(env, st, raw)?;
    }
    release(env, st, &call)?;
    special(env, st, &mut call)?;
    result::set(env, st, &call)?;
    maps::check_compatibility(env, &call)?;
    // A tail call that comes back has found no program: nothing was changed. Until 6.18 Linux
    // did not tell the two apart.
    let came_back =
        id == BPF_FUNC_tail_call && at_least(env.request.profile.version, TAIL_CALLS_RETURN);
    let changes_packet = (signature.traits.contains(Traits::CHANGES_PACKET) && !came_back)
        || (id == BPF_FUNC_dynptr_write && call.dynptr.is_some_and(|dynptr| dynptr.is_packet()));
    if changes_packet {
        st.invalidate_packet_pointers(env.invalidated());
    }
    Ok(())
}

/// Whether this program may call the helper here.
fn may_call(env: &Env<'_>, st: &State, helper: &Helper, signature: &Signature) -> Check {
    let rules = context::rules(env)?;
    if st.refs.locks > 0 && helper.id != BPF_FUNC_spin_unlock {
        return Err(reject!(
            Locking,
            EINVAL,
            "function calls are not allowed while holding a lock"
        ));
    }
    if !env
        .request
        .profile
        .has_helper(rules.prog_type, helper.id, &context::situation(env))
        || !super::allowed::offered(env, helper.id)
    {
        return Err(not_offered(env, helper, rules.prog_type));
    }
    let gpl_only =
        signature.traits.contains(Traits::GPL_ONLY) && !super::allowed::of_many(env, helper.id);
    if !env.request.gpl && gpl_only {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "cannot call GPL-restricted function from non-GPL compatible program"
        )
        .help(
            "declare a licence compatible with the GPL: char LICENSE[] SEC(\"license\") = \"GPL\";",
        ));
    }
    if !super::allowed::helper(env, helper.id)? {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "helper call is not allowed in probe"
        ));
    }
    let may_sleep = sleeps(st, signature);
    if may_sleep && !st.sleepable {
        return Err(reject!(
            NotAllowed,
            EINVAL,
            "helper call might sleep in a non-sleepable prog"
        ));
    }
    if may_sleep {
        sections::check_may_sleep(st, &format!("sleepable helper {}", label(helper)))?;
    }
    Ok(())
}

/// A helper that this kernel has not, or not for such programs: in the words of its version.
fn not_offered(env: &Env<'_>, helper: &Helper, prog_type: ProgType) -> Reject {
    let profile = env.request.profile;
    let (major, minor) = helper.since;
    if !at_least(profile.version, helper.since) {
        return reject!(NotAllowed, EINVAL, "invalid func unknown#{}", helper.id).because(format!(
            "`bpf_{}` came with Linux {major}.{minor}: {} has no such helper",
            helper.name, profile.name
        ));
    }
    let name = label(helper);
    let rejection = if env.since(6, 11) {
        reject!(
            NotAllowed,
            EINVAL,
            "program of this type cannot use helper {name}"
        )
    } else {
        reject!(NotAllowed, EINVAL, "unknown func {name}")
    };
    rejection.because(format!(
        "`bpf_{}` is not available to {prog_type} programs of {}",
        helper.name, profile.name
    ))
}

fn sleeps(st: &State, signature: &Signature) -> bool {
    signature.traits.contains(Traits::MAY_SLEEP)
        || (signature.traits.contains(Traits::SLEEPS_IF_SLEEPABLE) && st.sleepable)
}

/// Gives up the reference of the argument that is released.
fn release(env: &mut Env<'_>, st: &mut State, call: &Call) -> Check {
    let Some(reg) = call.release else {
        return Ok(());
    };
    let arg = call
        .signature
        .args
        .get(usize::from(reg.number()) - 1)
        .copied();
    if let Some(Arg {
        kind: ArgKind::Dynptr(_),
        ..
    }) = arg
    {
        return super::stack_objects::unmark_dynptr(env, st, reg);
    }
    if call.ref_id != 0 {
        if call.helper.id == BPF_FUNC_kptr_xchg {
            return super::kptr::give_away(env, st, call);
        }
        if release_reference(env, st, call.ref_id) {
            return Ok(());
        }
    } else if st.reg(reg).is_null() {
        return Ok(());
    }
    Err(reject!(
        Reference,
        EINVAL,
        "func {} reference has not been acquired before",
        label(call.helper)
    ))
}

/// Forgets a reference and all registers that live by it.
pub(super) fn release_reference(env: &Env<'_>, st: &mut State, id: u32) -> bool {
    if !st.refs.forget(id) {
        return false;
    }
    st.invalidate_reference(id, env.invalidated());
    true
}

/// Rules of single helpers.
fn special(env: &mut Env<'_>, st: &mut State, call: &mut Call) -> Check {
    let slot = env.slot;
    let mut fact = CallFact {
        map: call.map.and_then(|(map, _)| env.map(map).index),
        outer: call.map.and_then(|(map, _)| env.map(map).outer),
        key: call.key,
        key_place: call.key_place,
        callback: None,
    };
    match call.helper.id {
        BPF_FUNC_tail_call => {
            fact.key = maps::tail_call_key(env, st, call)?;
            exit::check_nothing_held(env, st, false, true, exit::TAIL_CALL)?;
        }
        BPF_FUNC_get_local_storage if !st.reg(Reg::R2).is_null() => {
            return Err(reject!(
                WrongType,
                EINVAL,
                "get_local_storage() doesn't support non-zero flags"
            ));
        }
        BPF_FUNC_snprintf => super::strings::check_snprintf(env, st)?,
        BPF_FUNC_dynptr_from_mem => {
            let reg = st.reg(Reg::R1);
            if !matches!(reg.kind, RegKind::MapValue { .. }) {
                return Err(reject!(
                    WrongType,
                    EACCES,
                    "Unsupported reg type {} for bpf_dynptr_from_mem data",
                    reg.type_name()
                ));
            }
        }
        BPF_FUNC_set_retval => super::allowed::check_set_retval(env)?,
        BPF_FUNC_get_func_ip => super::allowed::check_get_func_ip(env)?,
        _ => {}
    }
    let callback = Traits::SYNC_CALLBACK.union(Traits::ASYNC_CALLBACK);
    if call.signature.traits.intersects(callback) {
        if let Some(subprog) = call.subprog {
            fact.callback = env
                .program
                .subprograms
                .get(subprog as usize)
                .map(|s| s.start as u32);
        }
        callbacks::enter(env, st, call)?;
    }
    env.facts.call(slot, fact);
    Ok(())
}

/// Whether the argument's memory is written by the helper.
pub(super) fn writes(arg: Arg) -> bool {
    arg.flags.contains(ArgFlags::WRITE)
}
