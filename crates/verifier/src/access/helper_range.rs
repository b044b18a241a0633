//! A helper touches a range of bytes behind a register.

use panal_isa::Reg;

use super::AccessKind;
use crate::{
    env::Env,
    error::{Check, reject},
    state::State,
};

/// A buffer on the stack that the helper fills whatever was there: once all arguments are checked,
/// [`fill`] marks its bytes as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawBuffer {
    /// The pointer.
    pub reg: Reg,
    /// Bytes.
    pub size: u32,
}

/// Checks that a helper may read or write `size` bytes behind `reg`.
///
/// `raw` is given for arguments that may be uninitialised memory; it is set when the buffer is on
/// the stack at a constant offset.
///
/// # Errors
/// Out of bounds, not initialised, not readable or writable, not memory at all.
pub fn check(
    env: &mut Env<'_>,
    st: &mut State,
    reg: Reg,
    size: u32,
    access: AccessKind,
    zero_size_allowed: bool,
    raw: Option<&mut Option<RawBuffer>>,
) -> Check {
    let _ = (env, st, size, access, zero_size_allowed, raw);
    Err(reject!(
        WrongType,
        EACCES,
        "R{} type is not memory",
        reg.number()
    ))
}

/// Marks a raw buffer as written.
///
/// # Errors
/// It overlaps something that must not be overwritten.
pub fn fill(env: &mut Env<'_>, st: &mut State, raw: RawBuffer) -> Check {
    let _ = (env, st);
    Err(reject!(
        WrongType,
        EACCES,
        "R{} type is not memory",
        raw.reg.number()
    ))
}
