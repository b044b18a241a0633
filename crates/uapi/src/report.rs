//! What a verifier tells of a program that it rejects: enough to explain it to a person, to a
//! machine, and in Linux's own words.

use alloc::{string::String, sync::Arc, vec::Vec};

use crate::Errno;

/// What kind of mistake a program makes. Stable names: agents and tests depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// An encoding that no instruction has, a reserved field in use.
    InvalidInstruction,
    /// A jump out of the program, a fall off its end, code that cannot be reached.
    ControlFlow,
    /// A register or stack slot is read before it was written.
    Uninitialized,
    /// Memory outside an object.
    OutOfBounds,
    /// Packet bytes that no comparison with `data_end` covers.
    PacketBounds,
    /// A pointer that may be null is used.
    NullPointer,
    /// A value of the wrong kind: a number used as a pointer, the wrong pointer for an argument.
    WrongType,
    /// Arithmetic that a pointer does not allow.
    PointerArithmetic,
    /// A context field that does not exist, or not for writing.
    ContextAccess,
    /// Read-only memory is written, write-only memory read.
    Permission,
    /// Access that is not aligned where it must be.
    Alignment,
    /// A stack access out of the frame, a stack too deep, too many frames.
    Stack,
    /// A helper, kfunc or map type that this program type may not use, or that does not exist.
    NotAllowed,
    /// A reference that is not released, or released twice.
    Reference,
    /// Locks, RCU and preemption sections, IRQ flags.
    Locking,
    /// A dynptr, iterator, timer or other special object is misused.
    SpecialObject,
    /// A pointer or kernel address would leak.
    Leak,
    /// Pointer arithmetic that cannot be contained on mispredicted paths.
    Speculation,
    /// A return value out of the range of the program type.
    ReturnValue,
    /// A loop without a bound.
    InfiniteLoop,
    /// More instructions, states, jumps or subprograms than allowed.
    TooComplex,
    /// Types (BTF) that are missing or do not fit.
    Types,
}

impl Class {
    /// The name in JSON: lower case, words joined by `_`.
    pub const fn name(self) -> &'static str {
        match self {
            Class::InvalidInstruction => "invalid_instruction",
            Class::ControlFlow => "control_flow",
            Class::Uninitialized => "uninitialized",
            Class::OutOfBounds => "out_of_bounds",
            Class::PacketBounds => "packet_bounds",
            Class::NullPointer => "null_pointer",
            Class::WrongType => "wrong_type",
            Class::PointerArithmetic => "pointer_arithmetic",
            Class::ContextAccess => "context_access",
            Class::Permission => "permission",
            Class::Alignment => "alignment",
            Class::Stack => "stack",
            Class::NotAllowed => "not_allowed",
            Class::Reference => "reference",
            Class::Locking => "locking",
            Class::SpecialObject => "special_object",
            Class::Leak => "leak",
            Class::Speculation => "speculation",
            Class::ReturnValue => "return_value",
            Class::InfiniteLoop => "infinite_loop",
            Class::TooComplex => "too_complex",
            Class::Types => "types",
        }
    }
}

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// File as the compiler named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 when unknown.
    pub column: u32,
    /// The line's text.
    pub text: Arc<str>,
}

/// A place in the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Slot of the instruction.
    pub slot: u32,
    /// The instruction as text.
    pub instruction: String,
    /// The source line, where the object has debug info.
    pub source: Option<Source>,
}

/// A remark on a place of the path that led to the rejection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// What happened there: "here the bound of `r2` was lost".
    pub text: String,
}

/// Why a program was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Kind of mistake.
    pub class: Class,
    /// Linux's errno for it.
    pub errno: Errno,
    /// One sentence for people: what was wrong, with values and bounds.
    pub message: String,
    /// The last line of the log, in Linux's words.
    pub linux_message: String,
    /// Where; `None` for mistakes of the program as a whole.
    pub place: Option<Place>,
    /// The way there, oldest first.
    pub notes: Vec<Note>,
    /// What would mend it, where that is known.
    pub help: Option<String>,
}
