//! Dynptrs, iterators and IRQ flags on the stack.

use crate::{
    env::Env,
    error::{Check, reject},
    state::State,
};

/// A plain store is about to overwrite the bytes `off..off + size` (from the frame pointer of
/// `frame`): destroys dynptrs there where that is allowed. Called for slots that hold a dynptr only;
/// the core turns iterators and IRQ flags away itself.
///
/// # Errors
/// The object holds a reference, or is one that must not be overwritten.
pub fn destroy(env: &mut Env<'_>, st: &mut State, frame: usize, off: i32, size: u32) -> Check {
    let _ = (env, st, frame, size);
    Err(reject!(
        SpecialObject,
        EINVAL,
        "special object at fp{off} may not be overwritten"
    ))
}
