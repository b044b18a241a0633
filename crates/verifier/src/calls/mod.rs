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

pub mod fields;
pub mod stack_objects;

use panal_isa::CallTarget;

use crate::{
    env::Env,
    error::{Check, reject},
    state::State,
};

/// What calls keep per instruction over all paths (constant keys, maps, which kfunc is meant).
#[derive(Clone, Copy, Debug, Default)]
pub struct CallAux {}

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
    let _ = env;
    match target {
        CallTarget::Helper(_) | CallTarget::Kfunc { .. } => Some(CallTraits {
            params: 5,
            ..CallTraits::default()
        }),
        CallTarget::Local(_) | CallTarget::Reg(_) => None,
    }
}

/// Checks the call of a helper.
///
/// # Errors
/// Whatever its signature or the program type forbids.
pub fn check_helper(env: &mut Env<'_>, st: &mut State, id: u32) -> Check {
    let _ = (env, st);
    Err(reject!(
        NotAllowed,
        EINVAL,
        "helper call #{id} is not supported"
    ))
}

/// Checks the call of a kernel function.
///
/// # Errors
/// Whatever its signature, its flags or the program type forbid.
pub fn check_kfunc(env: &mut Env<'_>, st: &mut State, id: i32, object: i16) -> Check {
    let _ = (env, st, object);
    Err(reject!(
        NotAllowed,
        EINVAL,
        "kernel function call #{id} is not supported"
    ))
}
