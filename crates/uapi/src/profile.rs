//! A profile says which kernel is meant: what it offers, what it forbids, how much it allows.

use alloc::{string::String, sync::Arc};

use panal_btf::Btf;

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
    /// Whether the loader has `CAP_BPF` and friends; without, the unprivileged rules apply.
    pub privileged: bool,
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
