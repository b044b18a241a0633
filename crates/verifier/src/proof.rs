//! A proof: the instructions, and what was learnt about each of them.

use alloc::{string::String, vec::Vec};

use panal_isa::{Instruction, Slot};
use panal_uapi::{AttachType, ProgType, kernel::ProgFlags};

/// A program that was proven safe. Made only by the verifier.
#[derive(Clone, Debug)]
pub struct Proof {
    pub(crate) name: String,
    pub(crate) prog_type: ProgType,
    pub(crate) attach_type: Option<AttachType>,
    pub(crate) flags: ProgFlags,
    pub(crate) slots: Vec<Slot>,
    pub(crate) instructions: Vec<Option<Instruction>>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) calls: Vec<(u32, CallFact)>,
    pub(crate) subprograms: Vec<Subprogram>,
    pub(crate) map_count: usize,
    pub(crate) longest_run: Option<u64>,
}

impl Proof {
    /// The program's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The program's type.
    pub fn prog_type(&self) -> ProgType {
        self.prog_type
    }

    /// Where it will be attached.
    pub fn attach_type(&self) -> Option<AttachType> {
        self.attach_type
    }

    /// Flags of the load.
    pub fn flags(&self) -> ProgFlags {
        self.flags
    }

    /// The instructions as they were handed in.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The decoded instruction at a slot; `None` at the second slot of a 64-bit immediate load.
    pub fn instruction(&self, slot: usize) -> Option<&Instruction> {
        self.instructions.get(slot)?.as_ref()
    }

    /// The decoded instructions by slot, likewise.
    pub fn instructions(&self) -> &[Option<Instruction>] {
        &self.instructions
    }

    /// What was learnt, by slot.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// What was learnt of calls, in order of their slots.
    pub fn calls(&self) -> &[(u32, CallFact)] {
        &self.calls
    }

    /// Subprograms in order of their first slot; the first is the main program.
    pub fn subprograms(&self) -> &[Subprogram] {
        &self.subprograms
    }

    /// How many maps the instructions may name.
    pub fn map_count(&self) -> usize {
        self.map_count
    }

    /// More instructions than one run can take, where that is known: the verifier walked every way
    /// through the program to its end, and states that it found to be covered by others were covered
    /// by finished ones, so that no way is longer than all that was walked. `None` for programs with
    /// rounds that were not walked one by one (callbacks, iterators, `may_goto`), and with functions
    /// that were verified on their own.
    pub fn longest_run(&self) -> Option<u64> {
        self.longest_run
    }
}

/// A function of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subprogram {
    /// First slot.
    pub start: u32,
    /// One past the last slot.
    pub end: u32,
    /// Bytes of stack it uses, at most 512.
    pub stack_depth: u32,
    /// Whether some helper calls it back.
    pub is_callback: bool,
    /// Whether it is global: verified on its own.
    pub is_global: bool,
    /// Whether it, or something it calls, can make a tail call.
    pub tail_call_reachable: bool,
}

/// What was learnt about one instruction, over all paths that reach it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// No path reaches it.
    pub dead: bool,
    /// What it accesses, for loads, stores and atomics.
    pub access: Option<Access>,
    /// How a conditional jump went.
    pub branch: BranchFact,
    /// Arithmetic of 64 bits that moves an arena's pointer, which has 32: it is done in 32 bits.
    pub narrow: bool,
}

/// How a conditional jump goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BranchFact {
    /// Either way.
    #[default]
    Both,
    /// It is always taken.
    Always,
    /// It is never taken.
    Never,
}

/// The memory that an instruction accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Kind of memory; [`Region::Memory`] where paths differ.
    pub region: Region,
    /// Constant offset from the region's start where all paths agree (stack: from the frame
    /// pointer, negative; context: bytes into the uapi structure).
    pub offset: Option<i32>,
}

/// Kinds of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// The stack frame of this or a calling subprogram.
    Stack,
    /// The context: its layout is the kernel's affair, so the access must be translated.
    Context,
    /// A map's value.
    MapValue {
        /// Index of the map, where all paths agree.
        map: Option<u32>,
    },
    /// Packet bytes.
    Packet,
    /// A kernel object with types; reads may fault and then give 0.
    Btf,
    /// A socket by its uapi structure (`struct bpf_sock`, …): must be translated like a context.
    Socket,
    /// Other memory that is simply there: ring buffer records, helper-returned memory, caller's
    /// objects behind a global function's argument.
    Memory,
    /// Arena memory: a 32-bit offset into the arena.
    Arena,
}

/// What is known of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallFact {
    /// The one map that its map argument is, where all paths agree.
    pub map: Option<u32>,
    /// The one map that its map argument is an inner map of, where all paths agree.
    pub outer: Option<u32>,
    /// For tail calls and array lookups: the constant key, where all paths agree.
    pub key: Option<u64>,
    /// Where a map's key begins in this function's frame (below 0, from its end), where all paths
    /// agree.
    pub key_place: Option<i32>,
    /// Slot of the callback, where all paths agree.
    pub callback: Option<u32>,
}
