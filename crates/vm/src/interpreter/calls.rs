//! Frames of subprograms, and the functions that operations hold.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

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

/// Frames that need no allocation: a verified program without tail calls has at most seven.
const NEAR: usize = 8;

/// Where the current subprograms return to, the innermost last.
pub(super) struct Frames {
    near: [MaybeUninit<Frame>; NEAR],
    /// How many of `near` are in use.
    count: usize,
    far: Vec<Frame>,
}

impl Frames {
    pub fn new() -> Frames {
        Frames {
            near: [const { MaybeUninit::uninit() }; NEAR],
            count: 0,
            far: Vec::new(),
        }
    }

    pub fn count(&self) -> usize {
        self.count + self.far.len()
    }

    pub fn push(&mut self, frame: Frame) {
        match self.near.get_mut(self.count) {
            Some(place) => {
                place.write(frame);
                self.count += 1;
            }
            None => self.far.push(frame),
        }
    }

    pub fn pop(&mut self) -> Option<Frame> {
        if let Some(frame) = self.far.pop() {
            return Some(frame);
        }
        self.count = self.count.checked_sub(1)?;
        // SAFETY: the first `count` places were written, and this one is no longer counted.
        Some(unsafe { self.near.get(self.count)?.assume_init_read() })
    }
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
