//! Calls of helpers and kfuncs, checked by their declared signatures.
//!
//! # The seam
//! The core (`explore`, `transfer`) calls [`check_helper`] and [`check_kfunc`] when it meets a call;
//! they check arguments and locks, record facts (`env.facts.call`), change the state (clobber
//! `r0`-`r5` by [`crate::state::Frame::clobber_caller_saved`], set `r0`), and return. Before the
//! search, the core asks [`describe`] about each call. What they may use from the core:
//!
//! - [`crate::access::memory::check_access`]: one load or store (Linux's `check_mem_access`);
//! - [`crate::access::helper_range::check`]: a helper touches `size` bytes behind a register;
//! - [`crate::precision::mark_reg`]: the verdict depends on this number exactly;
//! - [`crate::subprograms::enter_callback`]: the helper calls a subprogram back;
//! - [`crate::explore::push_branch`]: a second outcome of this instruction, explored later;
//! - `env.new_id()`, `env.map(..)`, `env.btf(..)`, `env.request`, `env.log`, `env.slot`.
//!
//! Special objects on the stack live in [`crate::state::StackSlot`] with
//! [`crate::state::SlotType::Dynptr`] and so on; the core calls [`stack_objects::destroy`] when a store
//! would overwrite one.

mod allowed;
mod arg_types;
mod args;
mod callbacks;
pub mod fields;
mod graph;
mod helper;
mod kfunc;
mod kptr;
mod locks;
mod maps;
mod result;
mod sections;
pub mod stack_objects;
mod strings;
pub mod text;
mod timers;

use panal_isa::CallTarget;

use panal_uapi::{
    helpers::{self, Traits},
    kernel::ProgFlags,
};

use crate::{
    access::context,
    env::Env,
    error::{Check, reject},
    state::{BtfRef, MapRef, State},
};

pub(crate) use args::room;
pub use helper::TAIL_CALLS_RETURN;
pub use maps::check_use;
pub use sections::in_rcu;

/// What calls keep per instruction over all paths (constant keys, maps, which kfunc is meant).
#[derive(Clone, Copy, Debug, Default)]
pub struct CallAux {
    /// The map that the call is made with.
    pub map: MapSeen,
}

/// The map argument of a call over all paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapSeen {
    /// Not seen yet.
    #[default]
    None,
    /// This one each time.
    One(MapRef),
    /// Several.
    Several,
}

/// What can be said of a call without knowing its arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTraits {
    /// How many of `r1` to `r5` it reads.
    pub params: u8,
    /// It calls a subprogram back before it returns.
    pub calls_back: bool,
    /// It calls a subprogram later (timers, workqueues).
    pub calls_later: bool,
    /// It is the `next` of an open-coded iterator.
    pub iter_next: bool,
    /// It may move the packet.
    pub changes_packet: bool,
    /// It may sleep.
    pub may_sleep: bool,
    /// It never returns (`bpf_throw`).
    pub no_return: bool,
    /// It is `bpf_tail_call`.
    pub tail_call: bool,
    /// It preserves `r1` to `r5` when inlined (`bpf_fastcall`).
    pub fastcall: bool,
}

/// What can be said of a call without knowing its arguments; `None` for one that does not exist.
pub fn describe(env: &Env<'_>, target: CallTarget) -> Option<CallTraits> {
    match target {
        CallTarget::Helper(id) => describe_helper(env, id),
        CallTarget::Kfunc { id, object: 0 } => kfunc::describe(env, id),
        CallTarget::Kfunc { .. } => None,
        CallTarget::Local(_) | CallTarget::Reg(_) => None,
    }
}

fn describe_helper(env: &Env<'_>, id: u32) -> Option<CallTraits> {
    let helper = helpers::by_id(id)?;
    let rules = context::rules(env).ok()?;
    let signature = helper.signature_for(rules.prog_type);
    let is = |traits| signature.traits.contains(traits);
    Some(CallTraits {
        params: signature.args.len() as u8,
        calls_back: is(Traits::SYNC_CALLBACK),
        calls_later: is(Traits::ASYNC_CALLBACK),
        changes_packet: is(Traits::CHANGES_PACKET),
        may_sleep: is(Traits::MAY_SLEEP),
        tail_call: id == helpers::id::BPF_FUNC_tail_call,
        fastcall: is(Traits::FASTCALL),
        ..CallTraits::default()
    })
}

/// Checks the call of a helper.
///
/// # Errors
/// Whatever its signature or the program type forbids.
pub fn check_helper(env: &mut Env<'_>, st: &mut State, id: u32) -> Check {
    helper::check(env, st, id)
}

/// Name of a kernel function by its BTF id.
pub(crate) fn kfunc_name<'a>(env: &Env<'a>, id: i32) -> Option<&'a str> {
    let id = panal_btf::TypeId(u32::try_from(id).ok()?);
    Some(env.btf(BtfRef::Kernel)?.name(id))
}

/// Checks the call of a kernel function.
///
/// # Errors
/// Whatever its signature, its flags or the program type forbid.
pub fn check_kfunc(env: &mut Env<'_>, st: &mut State, id: i32, object: i16) -> Check {
    kfunc::check(env, st, id, object)
}

/// Checks, before any path is walked, that the kernel functions that are called exist. One without a
/// number stands for what a loader did not find, and must not be reached.
///
/// # Errors
/// One does not exist.
pub fn check_kfuncs(env: &Env<'_>) -> Check {
    for instruction in env.program.instructions.iter().flatten() {
        let panal_isa::Instruction::Call(CallTarget::Kfunc { id, object: 0 }) = *instruction else {
            continue;
        };
        let kind = u32::try_from(id)
            .ok()
            .map(|id| env.request.profile.btf.kind(panal_btf::TypeId(id)));
        if id != 0 && !matches!(kind, Some(panal_btf::Kind::Func { .. })) {
            return Err(reject!(
                NotAllowed,
                EINVAL,
                "kernel btf_id {id} is not a function"
            ));
        }
        if kfunc_name(env, id).is_some_and(kfunc::is_device_metadata)
            && !env.request.flags.contains(ProgFlags::XDP_DEV_BOUND_ONLY)
        {
            return Err(reject!(
                NotAllowed,
                EINVAL,
                "metadata kfuncs require device-bound program"
            ));
        }
    }
    Ok(())
}

/// Checks that a register is a pointer to an initialised dynptr: what a global function takes.
///
/// # Errors
/// It is not.
pub fn check_dynptr_argument(env: &mut Env<'_>, st: &mut State, reg: panal_isa::Reg) -> Check {
    let _ = env;
    let state = *st.reg(reg);
    if matches!(state.kind, crate::state::RegKind::Dynptr { .. }) {
        args::check_pointer_offset(&state, reg.number(), false)?;
    }
    stack_objects::use_dynptr(st, reg, None, true).map(|_| ())
}
