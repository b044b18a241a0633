//! Frames of subprograms, and the functions that operations hold.

use crate::{Executable, HelperFn, TailCallFn, op::Op};

/// Most frames that one interpreter holds: eight in a verified program; every tail call from a
/// subprogram leaves up to seven behind.
pub(super) const MAX_FRAMES: usize = 256;
/// How deep helpers may call back into the interpreter.
pub(super) const MAX_DEPTH: u32 = 16;

/// Where a subprogram returns to.
pub(super) struct Frame {
    pub executable: *const Executable,
    pub pc: *const Op,
    pub frame: u64,
    pub frame_size: u64,
    /// `r6` to `r9`.
    pub saved: [u64; 4],
    pub may_goto: u32,
}

/// The helper in an operation.
///
/// # Safety
/// The lowering put a [`HelperFn`] there.
pub(super) unsafe fn helper(imm: u64) -> HelperFn {
    // SAFETY: the caller's promise.
    unsafe { core::mem::transmute::<usize, HelperFn>(imm as usize) }
}

/// The finder of tail calls' targets in an operation.
///
/// # Safety
/// The lowering put a [`TailCallFn`] there.
pub(super) unsafe fn tail_call(imm: u64) -> TailCallFn {
    // SAFETY: the caller's promise.
    unsafe { core::mem::transmute::<usize, TailCallFn>(imm as usize) }
}
