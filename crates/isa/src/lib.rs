//! eBPF instructions (RFC 9669): decode, encode, assemble, disassemble.
//!
//! [`Slot`] is the eight bytes of the wire format; [`Instruction`] is what they mean. A program is
//! addressed by slot, as in the kernel: [`Instruction::LoadImm64`] fills two slots.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod assemble;
mod code;
mod decode;
mod disassemble;
mod encode;
mod instruction;
mod opcode;
mod slot;

pub use assemble::{AssembleError, Assembled, assemble};
pub use code::Code;
pub use decode::{DecodeError, DecodeErrorKind, Field};
pub use disassemble::{Dialect, Names, NoNames, Style, Text};
pub use instruction::{
    AluOp, AtomicOp, ByteOrder, CallTarget, Condition, Imm64, Instruction, Operand, PacketMode,
    Reg, Size, Width,
};
pub use slot::Slot;
