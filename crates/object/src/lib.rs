//! What a compiler wrote: ELF to programs, maps and relocations; and [`binary`], what user probes
//! need to know of ordinary programs.
//!
//! [`Object::parse`] reads a relocatable BPF object into a description in which every reference
//! holds: relocations point at instructions that take them, and at maps, data and functions that
//! exist. What numbers mean to a kernel (map types, section names) is not decided here.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod binary;
mod elf;
mod error;
mod external;
mod function;
mod map;
mod object;
mod parse;

pub use error::{Blame, Error, Fault, MapFault, Place};
pub use external::{Extern, ExternKind, KconfigValue};
pub use function::{CoreRecord, Function, Line, Relocation, Role, Target};
pub use map::{Data, Element, Map, MapDefinition, Origin, Pinning, Segment, StructOps, Variable};
pub use object::{ExternId, FunctionId, MapId, Object, Remark};
