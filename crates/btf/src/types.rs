//! The types that BTF describes, parsed once into a form that cannot be malformed.

use alloc::{boxed::Box, sync::Arc};

/// Number of a type within its BTF; 0 is `void`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

impl TypeId {
    /// `void`
    pub const VOID: TypeId = TypeId(0);
}

/// One type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// Its name; empty when it has none.
    pub name: Arc<str>,
    /// What it is.
    pub kind: Kind,
}

/// How the bits of an integer are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// `BTF_INT_SIGNED`
    pub signed: bool,
    /// `BTF_INT_CHAR`
    pub char: bool,
    /// `BTF_INT_BOOL`
    pub bool: bool,
}

/// Linkage of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// `BTF_FUNC_STATIC`
    Static,
    /// `BTF_FUNC_GLOBAL`
    Global,
    /// `BTF_FUNC_EXTERN`
    Extern,
}

/// Linkage of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VarLinkage {
    /// `BTF_VAR_STATIC`
    Static,
    /// `BTF_VAR_GLOBAL_ALLOCATED`
    Global,
    /// `BTF_VAR_GLOBAL_EXTERN`
    Extern,
}

/// Member of a struct or union.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Empty for an anonymous member.
    pub name: Arc<str>,
    /// Its type.
    pub ty: TypeId,
    /// Offset in bits from the start of the aggregate.
    pub bit_offset: u32,
    /// Width in bits of a bitfield, 0 otherwise.
    pub bits: u8,
}

/// Value of an enumeration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnumValue {
    /// Name of the enumerator.
    pub name: Arc<str>,
    /// Value, sign-extended if the enumeration is signed.
    pub value: i64,
}

/// Parameter of a function prototype; type and name are void and empty for `...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// May be empty.
    pub name: Arc<str>,
    /// Its type.
    pub ty: TypeId,
}

/// Variable within a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecVar {
    /// A [`Kind::Var`] (or [`Kind::Func`] for externs).
    pub ty: TypeId,
    /// Offset in bytes within the section.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

/// What a type is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are named as in btf.rst
pub enum Kind {
    Void,
    Int { size: u32, bits: u8, offset: u8, encoding: Encoding },
    Ptr(TypeId),
    Array { element: TypeId, index: TypeId, len: u32 },
    Struct { size: u32, members: Box<[Member]> },
    Union { size: u32, members: Box<[Member]> },
    /// `BTF_KIND_ENUM` (32 bits of value) or `BTF_KIND_ENUM64` when `wide`.
    Enum { size: u32, signed: bool, wide: bool, values: Box<[EnumValue]> },
    Fwd { union: bool },
    Typedef(TypeId),
    Volatile(TypeId),
    Const(TypeId),
    Restrict(TypeId),
    Func { proto: TypeId, linkage: Linkage },
    FuncProto { ret: TypeId, params: Box<[Param]> },
    Var { ty: TypeId, linkage: VarLinkage },
    DataSec { size: u32, vars: Box<[SecVar]> },
    Float { size: u32 },
    /// `component` is a member or parameter index, or -1 for the type itself.
    DeclTag { ty: TypeId, component: i32 },
    /// `kind_flag` marks an attribute rather than a type tag.
    TypeTag { ty: TypeId, attribute: bool },
}
