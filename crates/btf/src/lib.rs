//! BTF, the BPF type format (kernel document `bpf/btf.rst`): parse, write, look up, match for
//! CO-RE, print as C.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod table;
mod types;

pub use table::Btf;
pub use types::{Encoding, EnumValue, Kind, Linkage, Member, Param, SecVar, Type, TypeId, VarLinkage};
