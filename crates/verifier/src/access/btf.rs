//! Loads and stores through pointers to objects with BTF.

use panal_isa::Reg;

use super::AccessKind;
use crate::{
    env::Env,
    error::{Check, reject},
    state::{RegState, State},
};

/// Checks an access of `size` bytes at `off` (the instruction's offset; the register's own is added
/// here) through a [`crate::state::RegKind::Btf`] register.
///
/// For a read, gives what the destination register becomes: a number, or a pointer to another type.
///
/// # Errors
/// Beyond the type, into the middle of a field, a write that the rules do not allow.
pub fn check(
    env: &mut Env<'_>,
    st: &mut State,
    reg: Reg,
    off: i32,
    size: u32,
    access: AccessKind,
) -> Check<RegState> {
    let _ = (env, st, size, access);
    Err(reject!(
        Types,
        EACCES,
        "R{} access at off {off} through BTF is not supported",
        reg.number()
    ))
}

/// Checks a read through a constant map pointer (`struct bpf_map`).
///
/// # Errors
/// As for [`check`].
pub fn check_map_object(
    env: &mut Env<'_>,
    st: &mut State,
    reg: Reg,
    off: i32,
    size: u32,
    access: AccessKind,
) -> Check<RegState> {
    check(env, st, reg, off, size, access)
}

/// A struct of the kernel by name.
///
/// # Errors
/// The kernel does not have it.
pub fn kernel_struct(env: &Env<'_>, name: &str) -> Check<panal_btf::TypeId> {
    env.request
        .profile
        .btf
        .find(name, panal_btf::KindTag::Struct)
        .ok_or_else(|| reject!(Types, EINVAL, "struct {name} is not in the kernel's BTF"))
}

/// Whether an object of type `ty` at offset `off` is, or begins with, a `wanted` of `whose` BTF.
/// `strict`: the types must be the same, what the object contains does not count.
pub fn is_a(
    env: &Env<'_>,
    ty: crate::state::BtfType,
    off: i32,
    whose: crate::state::BtfRef,
    wanted: panal_btf::TypeId,
    strict: bool,
) -> bool {
    if ty.btf != whose {
        return false;
    }
    if off == 0 && ty.id == wanted {
        return true;
    }
    let (Some(btf), Ok(off), false) = (env.btf(ty.btf), u32::try_from(off), strict) else {
        return false;
    };
    btf.holds_at(ty.id, off, wanted)
}
