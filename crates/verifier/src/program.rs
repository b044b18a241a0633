//! The decoded program and its subprograms.

use alloc::{string::String, sync::Arc, vec::Vec};

use panal_btf::TypeId;
use panal_isa::{CallTarget, Instruction, Slot};

/// A subprogram while verifying.
#[derive(Clone, Debug, Default)]
pub struct Subprog {
    /// First slot.
    pub start: usize,
    /// One past the last slot.
    pub end: usize,
    /// Its name, where types tell.
    pub name: Arc<str>,
    /// Its `BTF_KIND_FUNC`, where types tell.
    pub ty: Option<TypeId>,
    /// Whether it is global: verified on its own.
    pub global: bool,
    /// Whether a helper calls it back.
    pub callback: bool,
    /// Whether it runs later, on its own (timers, workqueues).
    pub async_callback: bool,
    /// Whether it is the handler of exceptions (`exception_callback:` tag).
    pub exception_handler: bool,
    /// Bytes of stack that it uses, as the search found them.
    pub stack_depth: u32,
    /// The same without the spills around `bpf_fastcall` patterns.
    pub fastcall_depth: i32,
    /// Whether the spills around fastcalls are really that.
    pub keep_fastcall_stack: bool,
    /// Whether it makes a tail call.
    pub has_tail_call: bool,
    /// Whether it, or what it calls, makes a tail call.
    pub tail_call_reachable: bool,
    /// Whether it, or what it calls, may move the packet.
    pub changes_packet: bool,
    /// Whether it, or what it calls, may sleep.
    pub may_sleep: bool,
    /// Whether it uses legacy packet loads.
    pub has_packet_load: bool,
    /// Whether something calls it (global ones only).
    pub called: bool,
}

/// The decoded program.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// As handed in.
    pub slots: Vec<Slot>,
    /// Decoded; `None` at the second slot of a 64-bit immediate load.
    pub instructions: Vec<Option<Instruction>>,
    /// In order of their first slot.
    pub subprograms: Vec<Subprog>,
    /// Index of the subprogram, by slot.
    pub subprogram_of: Vec<u32>,
    /// Calls, described once, by slot.
    pub calls: Vec<Option<crate::calls::CallTraits>>,
}

impl Program {
    /// Slots.
    pub fn len(&self) -> usize {
        self.instructions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.instructions.is_empty()
    }

    /// The instruction at a slot.
    pub fn get(&self, slot: usize) -> Option<&Instruction> {
        self.instructions.get(slot)?.as_ref()
    }

    /// The subprogram that begins at a slot.
    pub fn starting_at(&self, slot: usize) -> Option<u32> {
        let index = self
            .subprograms
            .binary_search_by_key(&slot, |s| s.start)
            .ok()?;
        Some(index as u32)
    }

    /// The subprogram that a slot belongs to.
    pub fn containing(&self, slot: usize) -> u32 {
        self.subprogram_of.get(slot).copied().unwrap_or(0)
    }

    /// Name for messages.
    pub fn name_of(&self, subprogram: u32) -> String {
        match self.subprograms.get(subprogram as usize) {
            Some(s) if !s.name.is_empty() => String::from(&*s.name),
            _ => String::new(),
        }
    }

    /// Whether an instruction calls a helper or kfunc.
    pub fn call_target(&self, slot: usize) -> Option<CallTarget> {
        match self.get(slot)? {
            Instruction::Call(target) => Some(*target),
            _ => None,
        }
    }
}
