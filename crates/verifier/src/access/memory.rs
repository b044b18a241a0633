//! One load or store: dispatch on the kind of pointer.

use panal_isa::Reg;

use super::AccessKind;
use crate::{
    env::Env,
    error::{Check, reject},
    state::{RegState, State},
};

/// What a store stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// A register.
    Reg(Reg),
    /// A known number.
    Imm(i32),
    /// Something unknown: a helper writes.
    Unknown,
}

/// Checks a load of `size` bytes at `base + off`; gives what the destination register becomes,
/// zero-extended. `wanted` is false where the value is not used.
///
/// # Errors
/// Whatever the kind of pointer forbids.
pub fn check_read(
    env: &mut Env<'_>,
    st: &mut State,
    base: Reg,
    off: i32,
    size: u32,
    wanted: bool,
) -> Check<RegState> {
    let _ = (env, st, off, size, wanted);
    Err(reject!(
        WrongType,
        EACCES,
        "R{} invalid mem access",
        base.number()
    ))
}

/// Checks a store of `size` bytes at `base + off`, and does it where the stack is meant.
///
/// # Errors
/// Whatever the kind of pointer forbids.
pub fn check_write(
    env: &mut Env<'_>,
    st: &mut State,
    base: Reg,
    off: i32,
    size: u32,
    stored: Stored,
) -> Check {
    let _ = (env, st, off, size, stored);
    Err(reject!(
        WrongType,
        EACCES,
        "R{} invalid mem access",
        base.number()
    ))
}

/// Checks that `off..off + size` lies inside memory of `mem_size` bytes for every value of the
/// register's variable offset (Linux's `check_mem_region_access`).
///
/// # Errors
/// It may lie outside.
pub fn check_region(
    env: &Env<'_>,
    st: &State,
    reg: Reg,
    off: i32,
    size: u32,
    mem_size: u32,
    zero_size_allowed: bool,
    access: AccessKind,
) -> Check {
    let _ = (env, st, off, size, mem_size, zero_size_allowed, access);
    Err(reject!(
        OutOfBounds,
        EACCES,
        "R{} invalid mem access",
        reg.number()
    ))
}
