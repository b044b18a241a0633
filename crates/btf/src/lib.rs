//! BTF, the BPF type format (kernel document `bpf/btf.rst`): parse, write, look up, match for
//! CO-RE, print as C.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod access;
mod check;
pub mod core_relo;
mod error;
mod ext;
mod index;
mod loadable;
mod lookup;
mod nesting;
mod parse;
mod print;
mod strings;
mod table;
mod types;
pub mod value;
mod write;

pub use access::{Access, AccessError, Pointer, Step};
pub use error::{BtfError, TypeFault};
pub use ext::{BtfExt, ExtError, ExtSection, FuncInfo, LineInfo};
pub use index::essential_name;
pub use loadable::{LoadFault, NotLoadable};
pub use lookup::{DeclTags, NoMember, Place, Prototype};
pub use nesting::{MAX_RESOLVE_DEPTH, TooDeep};
pub use print::{PrintError, Raw};
pub use table::Btf;
pub use types::{
    Encoding, EnumValue, Kind, KindTag, Linkage, Member, Param, SecVar, Type, TypeId, VarLinkage,
};
pub use write::{Builder, WriteError};
