//! The types that BTF describes, parsed once into a form that cannot be malformed.

use alloc::{boxed::Box, sync::Arc};

/// Number of a type within its BTF; 0 is `void`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TypeId(pub u32);

impl TypeId {
    /// `void`
    pub const VOID: TypeId = TypeId(0);
    /// `BTF_MAX_TYPE`: the highest number that a type may have.
    pub const MAX: TypeId = TypeId(0x000f_ffff);
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

impl Linkage {
    /// What bpftool calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Linkage::Static => "static",
            Linkage::Global => "global",
            Linkage::Extern => "extern",
        }
    }
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

impl VarLinkage {
    /// What bpftool calls it.
    pub const fn name(self) -> &'static str {
        match self {
            VarLinkage::Static => "static",
            VarLinkage::Global => "global",
            VarLinkage::Extern => "extern",
        }
    }
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
    Int {
        size: u32,
        bits: u8,
        offset: u8,
        encoding: Encoding,
    },
    Ptr(TypeId),
    Array {
        element: TypeId,
        index: TypeId,
        len: u32,
    },
    Struct {
        size: u32,
        members: Box<[Member]>,
    },
    Union {
        size: u32,
        members: Box<[Member]>,
    },
    /// `BTF_KIND_ENUM` (32 bits of value) or `BTF_KIND_ENUM64` when `wide`.
    Enum {
        size: u32,
        signed: bool,
        wide: bool,
        values: Box<[EnumValue]>,
    },
    Fwd {
        union: bool,
    },
    Typedef(TypeId),
    Volatile(TypeId),
    Const(TypeId),
    Restrict(TypeId),
    Func {
        proto: TypeId,
        linkage: Linkage,
    },
    FuncProto {
        ret: TypeId,
        params: Box<[Param]>,
    },
    Var {
        ty: TypeId,
        linkage: VarLinkage,
    },
    DataSec {
        size: u32,
        vars: Box<[SecVar]>,
    },
    Float {
        size: u32,
    },
    /// `component` is a member or parameter index, or -1 for the type itself; `attribute` as in
    /// [`Kind::TypeTag`].
    DeclTag {
        ty: TypeId,
        component: i32,
        attribute: bool,
    },
    /// `attribute` is `kind_flag`: the name is a whole `__attribute__` rather than the argument of
    /// `btf_type_tag`.
    TypeTag {
        ty: TypeId,
        attribute: bool,
    },
}

/// The kind of a type without what it holds; the numbers are `BTF_KIND_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // named as in btf.rst
pub enum KindTag {
    Void = 0,
    Int = 1,
    Ptr = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    Enum = 6,
    Fwd = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Func = 12,
    FuncProto = 13,
    Var = 14,
    DataSec = 15,
    Float = 16,
    DeclTag = 17,
    TypeTag = 18,
    Enum64 = 19,
}

impl KindTag {
    /// The kinds by number.
    pub const ALL: [KindTag; 20] = {
        use KindTag::*;
        [
            Void, Int, Ptr, Array, Struct, Union, Enum, Fwd, Typedef, Volatile, Const, Restrict,
            Func, FuncProto, Var, DataSec, Float, DeclTag, TypeTag, Enum64,
        ]
    };

    /// The kind of this number.
    pub fn from_number(number: u8) -> Option<KindTag> {
        KindTag::ALL.get(number as usize).copied()
    }

    /// As bpftool's raw dump writes it: `STRUCT`, `FUNC_PROTO`, ...
    pub const fn name(self) -> &'static str {
        match self {
            KindTag::Void => "VOID",
            KindTag::Int => "INT",
            KindTag::Ptr => "PTR",
            KindTag::Array => "ARRAY",
            KindTag::Struct => "STRUCT",
            KindTag::Union => "UNION",
            KindTag::Enum => "ENUM",
            KindTag::Fwd => "FWD",
            KindTag::Typedef => "TYPEDEF",
            KindTag::Volatile => "VOLATILE",
            KindTag::Const => "CONST",
            KindTag::Restrict => "RESTRICT",
            KindTag::Func => "FUNC",
            KindTag::FuncProto => "FUNC_PROTO",
            KindTag::Var => "VAR",
            KindTag::DataSec => "DATASEC",
            KindTag::Float => "FLOAT",
            KindTag::DeclTag => "DECL_TAG",
            KindTag::TypeTag => "TYPE_TAG",
            KindTag::Enum64 => "ENUM64",
        }
    }
}

impl core::fmt::Display for KindTag {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

impl Kind {
    /// Which kind it is.
    pub const fn tag(&self) -> KindTag {
        match self {
            Kind::Void => KindTag::Void,
            Kind::Int { .. } => KindTag::Int,
            Kind::Ptr(_) => KindTag::Ptr,
            Kind::Array { .. } => KindTag::Array,
            Kind::Struct { .. } => KindTag::Struct,
            Kind::Union { .. } => KindTag::Union,
            Kind::Enum { wide: false, .. } => KindTag::Enum,
            Kind::Enum { wide: true, .. } => KindTag::Enum64,
            Kind::Fwd { .. } => KindTag::Fwd,
            Kind::Typedef(_) => KindTag::Typedef,
            Kind::Volatile(_) => KindTag::Volatile,
            Kind::Const(_) => KindTag::Const,
            Kind::Restrict(_) => KindTag::Restrict,
            Kind::Func { .. } => KindTag::Func,
            Kind::FuncProto { .. } => KindTag::FuncProto,
            Kind::Var { .. } => KindTag::Var,
            Kind::DataSec { .. } => KindTag::DataSec,
            Kind::Float { .. } => KindTag::Float,
            Kind::DeclTag { .. } => KindTag::DeclTag,
            Kind::TypeTag { .. } => KindTag::TypeTag,
        }
    }

    /// The members of a struct or union.
    pub fn members(&self) -> Option<&[Member]> {
        match self {
            Kind::Struct { members, .. } | Kind::Union { members, .. } => Some(members),
            _ => None,
        }
    }

    /// What a typedef, `const`, `volatile`, `restrict` or type tag wraps.
    pub const fn modified(&self) -> Option<TypeId> {
        match *self {
            Kind::Typedef(ty)
            | Kind::Volatile(ty)
            | Kind::Const(ty)
            | Kind::Restrict(ty)
            | Kind::TypeTag { ty, .. } => Some(ty),
            _ => None,
        }
    }
}

impl core::fmt::Display for TypeId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "[{}]", self.0)
    }
}
