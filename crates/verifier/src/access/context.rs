//! Loads and stores through context and socket pointers, by the program type's field rules.

use super::AccessKind;
use crate::{
    env::Env,
    error::{Check, reject},
    state::{RegKind, RegState, State},
};

/// Checks an access of `size` bytes at `off` in the context.
///
/// For a read, gives what the destination register becomes: a number (its bounds by size are
/// applied by the caller), or a pointer.
///
/// # Errors
/// A field that does not exist, or not with this size, or not for writing.
pub fn check(
    env: &mut Env<'_>,
    st: &mut State,
    off: i32,
    size: u32,
    access: AccessKind,
) -> Check<RegState> {
    let _ = (env, st, access);
    Err(reject!(
        ContextAccess,
        EACCES,
        "invalid bpf_context access off={off} size={size}"
    ))
}

/// Checks an access to `struct bpf_sock` and its relatives; `kind` is one of the socket kinds.
///
/// # Errors
/// As for [`check`].
pub fn check_socket(
    env: &mut Env<'_>,
    kind: RegKind,
    off: i32,
    size: u32,
    access: AccessKind,
) -> Check<RegState> {
    let _ = (env, kind, access);
    Err(reject!(
        ContextAccess,
        EACCES,
        "invalid sock access off={off} size={size}"
    ))
}

/// What `r1` is at entry of the main program: the context, or nothing usable.
pub fn entry(env: &Env<'_>) -> RegState {
    let _ = env;
    RegState::pointer(RegKind::Context)
}

/// What the main program may return (inclusive), with the name of the value in Linux's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnRule {
    /// The range; `None`: anything.
    pub range: Option<(i32, i32)>,
    /// Whether the range is of the low 32 bits only.
    pub subreg: bool,
    /// Whether the value must be a number even so.
    pub must_be_scalar: bool,
}

/// The rule for this program's type, attach type and target.
///
/// # Errors
/// The program type and target do not fit.
pub fn return_rule(env: &Env<'_>) -> Check<ReturnRule> {
    let _ = env;
    Ok(ReturnRule {
        range: None,
        subreg: false,
        must_be_scalar: true,
    })
}

/// Whether programs of this type may read (write) packets directly, in this direction.
pub fn may_access_packet(env: &Env<'_>, access: AccessKind) -> bool {
    let _ = (env, access);
    false
}
