//! What a verifier tells of a program that it rejects: enough to explain it to a person, to a
//! machine, and in Linux's own words.

use alloc::{string::String, sync::Arc, vec::Vec};

use crate::Errno;

/// What kind of mistake a program makes. Stable names: agents and tests depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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

impl Class {
    /// Every class.
    pub const ALL: [Class; 22] = [
        Class::InvalidInstruction,
        Class::ControlFlow,
        Class::Uninitialized,
        Class::OutOfBounds,
        Class::PacketBounds,
        Class::NullPointer,
        Class::WrongType,
        Class::PointerArithmetic,
        Class::ContextAccess,
        Class::Permission,
        Class::Alignment,
        Class::Stack,
        Class::NotAllowed,
        Class::Reference,
        Class::Locking,
        Class::SpecialObject,
        Class::Leak,
        Class::Speculation,
        Class::ReturnValue,
        Class::InfiniteLoop,
        Class::TooComplex,
        Class::Types,
    ];

    /// What programs of the class do wrong, in one sentence.
    pub const fn summary(self) -> &'static str {
        match self {
            Class::InvalidInstruction => "An instruction has an encoding that means nothing.",
            Class::ControlFlow => {
                "A jump leaves the program, the program runs off its end, or code cannot be reached."
            }
            Class::Uninitialized => "A value is read that was never written.",
            Class::OutOfBounds => "Memory outside of an object may be accessed.",
            Class::PacketBounds => {
                "Packet bytes are accessed that no comparison with data_end covers."
            }
            Class::NullPointer => "A pointer that may be NULL is used.",
            Class::WrongType => "A value of the wrong kind is used.",
            Class::PointerArithmetic => "Arithmetic is done that a pointer does not allow.",
            Class::ContextAccess => {
                "A field of the context is accessed that does not exist, or not in this way."
            }
            Class::Permission => "Read-only memory is written, or write-only memory read.",
            Class::Alignment => "An access is not aligned.",
            Class::Stack => "The stack is accessed outside of a frame, or too much of it is used.",
            Class::NotAllowed => {
                "A helper, kernel function or map is used that does not exist or is not allowed here."
            }
            Class::Reference => "An acquired object is not released, or released twice.",
            Class::Locking => "A lock, RCU, preemption or interrupt section is misused.",
            Class::SpecialObject => "A dynptr, iterator, timer or other special object is misused.",
            Class::Leak => "A kernel address would leak.",
            Class::Speculation => {
                "An unprivileged program could read memory by speculative execution."
            }
            Class::ReturnValue => "The program may return a value that its type does not allow.",
            Class::InfiniteLoop => "A loop may never end.",
            Class::TooComplex => "The program is too complex to be verified.",
            Class::Types => "Types (BTF) are missing or do not fit.",
        }
    }
}

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Note {
    /// Where.
    pub place: Place,
    /// What happened there: "here the bound of `r2` was lost".
    pub text: String,
}

/// What a range is a range of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Quantity {
    /// Distance of an access from the start of the object, in bytes.
    Offset,
    /// Number of bytes that are touched.
    Size,
    /// Number of bytes of the packet, counted from the pointer's base.
    PacketBytes,
    /// The value itself.
    Value,
}

impl Quantity {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Quantity::Offset => "offset",
            Quantity::Size => "size",
            Quantity::PacketBytes => "packet_bytes",
            Quantity::Value => "value",
        }
    }
}

/// Least and greatest number, both included. Wide enough for signed and unsigned 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Range {
    /// Least.
    pub min: i128,
    /// Greatest.
    pub max: i128,
}

/// A bound that does not hold: what is known, and what would have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Bound {
    /// Of what.
    pub quantity: Quantity,
    /// What is known of it on this path.
    pub known: Range,
    /// What it must be.
    pub needed: Range,
}

/// The value at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Value {
    /// Where it is: `r2`.
    pub register: String,
    /// What is known of it, as Linux's log prints it: `scalar(umax=255)`.
    pub state: String,
    /// Which bound does not hold, if it is a matter of bounds.
    pub bound: Option<Bound>,
}

/// One instruction of the path, and what it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Step {
    /// The instruction.
    pub place: Place,
    /// Depth of calls: 0 in the program's own frame.
    pub frame: u8,
    /// What is known afterwards of what changed: `r2=scalar(umax=255)`, `fp-8=0`.
    pub changes: Vec<String>,
}

/// The path of a rejection, bounded in length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Path {
    /// The newest instructions, oldest first; the last one is the one that is rejected.
    pub steps: Vec<Step>,
    /// How many instructions of the path came before these.
    pub earlier: u64,
}

/// Why a program was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
    /// The value at fault, where it is one.
    pub value: Option<Value>,
    /// Where the bound was lost or never gained, the reference taken, the pointer made.
    pub origin: Option<Note>,
    /// The branch decisions that led there, oldest first; only the newest.
    pub notes: Vec<Note>,
    /// What would mend it, where that is known.
    pub help: Option<String>,
    /// The path, instruction by instruction.
    pub path: Path,
}

impl Rejection {
    /// Longer than the kernel takes: it answers `E2BIG`, without a log.
    pub fn too_long(instructions: usize, most: usize) -> Rejection {
        Rejection {
            message: alloc::format!(
                "the program has {instructions} instructions with its subprograms: at most {most} \
                 are allowed (E2BIG)"
            ),
            help: Some(
                "roll up loops that the compiler unrolled (`#pragma nounroll`), use bpf_loop() or \
                 `bpf_for`, or go on in another program with bpf_tail_call()"
                    .into(),
            ),
            ..Rejection::new(Class::TooComplex, Errno::E2BIG, "")
        }
    }

    /// A rejection of which nothing but Linux's words is known.
    pub fn new(class: Class, errno: Errno, linux_message: impl Into<String>) -> Rejection {
        let linux_message = linux_message.into();
        Rejection {
            class,
            errno,
            message: linux_message.clone(),
            linux_message,
            place: None,
            value: None,
            origin: None,
            notes: Vec::new(),
            help: None,
            path: Path::default(),
        }
    }
}
