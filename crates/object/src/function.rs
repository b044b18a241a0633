//! Functions: programs and the subprograms that they call.

use alloc::{sync::Arc, vec::Vec};

use panal_btf::{TypeId, core_relo::CoreRelo};
use panal_isa::Slot;

use crate::{ExternId, FunctionId, MapId};

/// A function of the object.
#[derive(Clone, Debug)]
pub struct Function {
    /// Symbol name; the section's name where the compiler left no symbol.
    pub name: Arc<str>,
    /// Section that it stands in: for programs, what `SEC("...")` said.
    pub section: Arc<str>,
    /// Slot of the section where it begins.
    pub section_slot: u32,
    /// Whether user space loads it, or other functions call it.
    pub role: Role,
    /// Whether other objects could see it: a global subprogram is verified on its own.
    pub global: bool,
    /// Instructions, as the compiler wrote them.
    pub code: Vec<Slot>,
    /// What instructions refer to, by slot; calls within the section too.
    pub relocations: Vec<Relocation>,
    /// Its [`panal_btf::Kind::Func`].
    pub ty: Option<TypeId>,
    /// Where source lines begin, by slot.
    pub lines: Vec<Line>,
    /// Accesses that depend on the kernel's types, by slot.
    pub core: Vec<CoreRecord>,
}

/// Who enters a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A program: attached to an event.
    Program,
    /// Called by programs.
    Subprogram,
}

/// An instruction that refers to something outside of its function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Slot within the function: a 64-bit immediate load or a call.
    pub slot: u32,
    /// What it refers to.
    pub target: Target,
}

/// What an instruction refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A 64-bit load of a map.
    Map(MapId),
    /// A 64-bit load of an address within a data section, which is a map with one value.
    Data {
        /// The data section's map.
        map: MapId,
        /// Bytes into it; may be its end.
        offset: u32,
    },
    /// A call of a subprogram.
    Call(FunctionId),
    /// A 64-bit load of a subprogram's address.
    FunctionAddress(FunctionId),
    /// A 64-bit load of an external variable or function.
    Extern(ExternId),
    /// A call of a kernel function.
    Kfunc(ExternId),
}

/// A source line's first instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Slot within the function.
    pub slot: u32,
    /// File as the compiler named it.
    pub file: Arc<str>,
    /// The line's text.
    pub text: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 when unknown.
    pub column: u32,
}

/// An instruction that depends on the kernel's types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreRecord {
    /// Slot within the function.
    pub slot: u32,
    /// What its value stands for. The offset is that of the compiler, within the section.
    pub relocation: CoreRelo,
}
