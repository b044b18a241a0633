//! The search: one path at a time, depth first, with the branches that wait on a stack.

use alloc::vec::Vec;

use crate::{
    env::Env,
    error::{Check, reject},
    state::State,
};

/// A saved state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateId(pub u32);

/// Newest entry of a path's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HistoryRef(pub u32);

/// A branch that waits.
#[derive(Debug)]
pub struct Pending {
    /// The state there.
    pub state: State,
    /// Slot to go on at.
    pub slot: usize,
    /// Slot of the instruction that came before.
    pub previous: usize,
    /// Length of the log at that point.
    pub log_len: usize,
}

/// The search's memory.
#[derive(Debug, Default)]
pub struct Search {
    /// Branches that wait, newest last.
    pub pending: Vec<Pending>,
}

/// Explores a second outcome of the instruction at `env.slot` later: a copy of the state goes on at
/// `slot`. The copy may be changed.
///
/// # Errors
/// Too many branches wait.
pub fn push_branch<'e>(env: &'e mut Env<'_>, st: &State, slot: usize) -> Check<&'e mut State> {
    let limit = env.request.profile.limits.jump_sequence as usize;
    if env.search.pending.len() >= limit {
        return Err(reject!(
            TooComplex,
            E2BIG,
            "The sequence of {} jumps is too complex.",
            env.search.pending.len() + 1
        ));
    }
    let (previous, log_len) = (env.slot, env.log.len());
    env.search.pending.push(Pending {
        state: st.clone(),
        slot,
        previous,
        log_len,
    });
    match env.search.pending.last_mut() {
        Some(pending) => Ok(&mut pending.state),
        None => Err(reject!(TooComplex, EFAULT, "no branch")),
    }
}

/// The same for the next round of an iterator: numbers that changed since the last round and whose
/// value does not matter so far are widened, so that the loop converges.
///
/// # Errors
/// Too many branches wait.
pub fn push_iteration<'e>(env: &'e mut Env<'_>, st: &State, slot: usize) -> Check<&'e mut State> {
    push_branch(env, st, slot)
}
