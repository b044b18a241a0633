//! A profile says which kernel is meant: what it offers, what it forbids, how much it allows.

use alloc::{string::String, sync::Arc};

use panal_btf::Btf;

use crate::Capabilities;

/// The kernel that a program is verified for.
#[derive(Clone, Debug)]
pub struct Profile {
    /// `panal`, `linux-6.18`, …
    pub name: String,
    /// `LINUX_VERSION_CODE`: which rules of Linux's verifier apply where they changed.
    pub version: u32,
    /// The kernel's own types.
    pub btf: Arc<Btf>,
    /// Limits.
    pub limits: Limits,
    /// What the loader may do; with less than all, the rules are stricter.
    pub capabilities: Capabilities,
}

impl Profile {
    /// Instructions that a program may have: without `CAP_BPF` as many as a classic filter
    /// (`BPF_MAXINSNS`).
    pub fn max_instructions(&self) -> u32 {
        const UNPRIVILEGED: u32 = 4096;
        if self.capabilities.contains(Capabilities::BPF) {
            self.limits.instructions
        } else {
            self.limits.instructions.min(UNPRIVILEGED)
        }
    }
}

/// Bounds on effort and size (`BPF_COMPLEXITY_LIMIT_*` and relatives).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instructions in a program.
    pub instructions: u32,
    /// Instructions processed along all paths.
    pub processed: u64,
    /// Branches that wait.
    pub jump_sequence: u32,
    /// Bytes of stack of all frames together.
    pub stack: u32,
    /// Nested calls.
    pub frames: u32,
    /// Subprograms.
    pub subprograms: u32,
}

impl Limits {
    /// What a privileged loader gets from Linux since 5.2.
    pub const LINUX: Limits = Limits {
        instructions: 1_000_000,
        processed: 1_000_000,
        jump_sequence: 8192,
        stack: 512,
        frames: 8,
        subprograms: 256,
    };
}
