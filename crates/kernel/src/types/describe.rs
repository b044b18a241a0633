//! How a Rust type becomes a BTF type: the machinery behind the structures of this directory.

use std::{any::TypeId as RustType, collections::HashMap, marker::PhantomData};

use panal_btf::{Builder, Encoding, EnumValue, Kind, Linkage, Member, Param, TypeId};

/// A type of Panal's kernel that BTF describes.
pub trait Describe: 'static {
    /// Its type in the BTF; described at the first asking.
    fn describe(types: &mut Types) -> TypeId;
}

/// A `#[repr(C)]` type of Panal's kernel.
///
/// # Safety
/// The type consists of integers, arrays of them and of such types: every bit pattern is valid,
/// and so is all zero.
pub unsafe trait KernelType: Describe + Copy {
    /// All zeroes.
    fn zeroed() -> Self {
        // SAFETY: every bit pattern is valid.
        unsafe { std::mem::zeroed() }
    }
}

/// A pointer of the kernel's, as programs follow it: an address in the cage, or 0.
#[repr(transparent)]
pub struct Ptr<T>(u64, PhantomData<fn() -> T>);

impl<T> Ptr<T> {
    /// Points nowhere.
    pub const NULL: Self = Ptr(0, PhantomData);

    /// Points to this address.
    pub const fn to(address: u64) -> Self {
        Ptr(address, PhantomData)
    }

    /// The address.
    pub const fn address(self) -> u64 {
        self.0
    }
}

impl<T> Clone for Ptr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ptr<T> {}

/// What a `void *` points to.
#[derive(Clone, Copy)]
pub enum Void {}

/// What a `const char *` points to.
#[derive(Clone, Copy)]
pub enum ConstChar {}

/// What a `const unsigned char *` points to.
#[derive(Clone, Copy)]
pub enum ConstUnsignedChar {}

/// Collects the kernel's types.
#[derive(Default)]
pub struct Types {
    builder: Builder,
    known: HashMap<RustType, TypeId>,
    named: HashMap<String, TypeId>,
}

impl Types {
    /// The BTF type of a Rust type.
    pub fn of<T: Describe>(&mut self) -> TypeId {
        match self.known.get(&RustType::of::<T>()) {
            Some(id) => *id,
            None => {
                let id = T::describe(self);
                self.known.insert(RustType::of::<T>(), id);
                id
            }
        }
    }

    /// A type by a name of its own, made at the first asking.
    pub fn once(&mut self, name: &str, make: impl FnOnce(&mut Self) -> TypeId) -> TypeId {
        if let Some(id) = self.named.get(name) {
            return *id;
        }
        let id = make(self);
        self.named.insert(name.to_owned(), id);
        id
    }

    /// A struct or union. Its number is known before its members are asked for: they may point
    /// back.
    pub fn aggregate<T: KernelType>(
        &mut self,
        name: &str,
        union: bool,
        members: impl FnOnce(&mut Self) -> Vec<Member>,
    ) -> TypeId {
        let size = size_of::<T>() as u32;
        let kind = |members: Vec<Member>| match union {
            true => Kind::Union {
                size,
                members: members.into(),
            },
            false => Kind::Struct {
                size,
                members: members.into(),
            },
        };
        let id = self.builder.add(name, kind(Vec::new()));
        self.known.insert(RustType::of::<T>(), id);
        let members = members(self);
        if let Some(ty) = self.builder.get_mut(id) {
            ty.kind = kind(members);
        }
        id
    }

    /// A struct given by size and members (name, type, offset in bytes), unless one of that name was
    /// given before.
    pub fn structure(&mut self, name: &str, size: u32, members: &[(&str, TypeId, u32)]) -> TypeId {
        let known = self.named.get(&format!("struct {name}")).copied();
        known.unwrap_or_else(|| {
            let id = self.builder.structure(name, size, members);
            self.named.insert(format!("struct {name}"), id);
            id
        })
    }

    /// A union without a name.
    pub fn nameless_union(&mut self, size: u32, members: &[(&str, TypeId)]) -> TypeId {
        let member = |(name, ty): &(&str, TypeId)| Member {
            name: (*name).into(),
            ty: *ty,
            bit_offset: 0,
            bits: 0,
        };
        let members = members.iter().map(member).collect();
        self.builder.add("", Kind::Union { size, members })
    }

    /// `typedef TARGET NAME`
    pub fn typedef(&mut self, name: &str, target: TypeId) -> TypeId {
        self.once(&format!("typedef {name}"), |t| {
            t.builder.add(name, Kind::Typedef(target))
        })
    }

    /// A pointer.
    pub fn pointer(&mut self, target: TypeId) -> TypeId {
        self.once(&format!("ptr {}", target.0), |t| t.builder.ptr(target))
    }

    /// `const TARGET`
    pub fn constant(&mut self, target: TypeId) -> TypeId {
        self.once(&format!("const {}", target.0), |t| {
            t.builder.add("", Kind::Const(target))
        })
    }

    /// `TARGET[len]`
    pub fn array(&mut self, element: TypeId, len: u32) -> TypeId {
        let index = self.of::<i32>();
        self.once(&format!("array {} {len}", element.0), |t| {
            t.builder.add(
                "",
                Kind::Array {
                    element,
                    index,
                    len,
                },
            )
        })
    }

    /// An integer by its C name.
    pub fn int(&mut self, name: &str, size: u32, encoding: Encoding) -> TypeId {
        self.once(&format!("int {name}"), |t| {
            t.builder.int(name, size, encoding)
        })
    }

    /// `bool`, as compilers describe it.
    pub fn boolean(&mut self) -> TypeId {
        self.int(
            "_Bool",
            1,
            Encoding {
                bool: true,
                ..Encoding::default()
            },
        )
    }

    /// An integer by the name of its typedef, `__u32`, of these bytes.
    pub fn uapi_int(&mut self, name: &str, size: u32) -> TypeId {
        let plain = match size {
            1 => self.of::<u8>(),
            2 => self.of::<u16>(),
            4 => self.of::<u32>(),
            _ => self.int("unsigned long long", 8, Encoding::default()),
        };
        self.typedef(name, plain)
    }

    /// A named enumeration of 32 bits, or of 64 where a value needs it.
    pub fn enumeration(&mut self, name: &str, values: &[(&str, i64)]) -> TypeId {
        self.once(&format!("enum {name}"), |t| t.constants(name, values))
    }

    /// As [`Types::enumeration`], always made anew: for constants without a common name.
    pub fn constants(&mut self, name: &str, values: &[(&str, i64)]) -> TypeId {
        let narrow = |v: &i64| i32::try_from(*v).is_ok() || u32::try_from(*v).is_ok();
        let wide = !values.iter().all(|(_, v)| narrow(v));
        let signed = values.iter().any(|(_, v)| *v < 0);
        let values = values
            .iter()
            .map(|(name, value)| EnumValue {
                name: (*name).into(),
                value: *value,
            })
            .collect();
        let size = if wide { 8 } else { 4 };
        self.builder.add(
            name,
            Kind::Enum {
                size,
                signed,
                wide,
                values,
            },
        )
    }

    /// A function prototype.
    pub fn prototype(&mut self, ret: TypeId, params: &[(&str, TypeId)]) -> TypeId {
        let params = params.iter().map(|(name, ty)| Param {
            name: (*name).into(),
            ty: *ty,
        });
        self.builder.add(
            "",
            Kind::FuncProto {
                ret,
                params: params.collect(),
            },
        )
    }

    /// A function of the kernel.
    pub fn function(&mut self, name: &str, ret: TypeId, params: &[(&str, TypeId)]) -> TypeId {
        let proto = self.prototype(ret, params);
        self.builder.add(
            name,
            Kind::Func {
                proto,
                linkage: Linkage::Static,
            },
        )
    }

    /// A struct that is only declared.
    pub fn forward(&mut self, name: &str) -> TypeId {
        self.once(&format!("fwd {name}"), |t| {
            t.builder.add(name, Kind::Fwd { union: false })
        })
    }

    /// What was collected.
    pub fn builder(&self) -> &Builder {
        &self.builder
    }
}

macro_rules! integers {
    ($($rust:ty = $c:literal, $signed:literal;)*) => {$(
        // SAFETY: an integer.
        unsafe impl KernelType for $rust {}

        impl Describe for $rust {
            fn describe(types: &mut Types) -> TypeId {
                let encoding = Encoding { signed: $signed, ..Encoding::default() };
                types.int($c, size_of::<$rust>() as u32, encoding)
            }
        }
    )*};
}

integers! {
    u8 = "unsigned char", false;
    i8 = "char", true;
    u16 = "unsigned short", false;
    i16 = "short", true;
    u32 = "unsigned int", false;
    i32 = "int", true;
    u64 = "unsigned long", false;
    i64 = "long", true;
}

// SAFETY: an array of valid things.
unsafe impl<T: KernelType, const N: usize> KernelType for [T; N] {}

impl<T: Describe, const N: usize> Describe for [T; N] {
    fn describe(types: &mut Types) -> TypeId {
        let element = types.of::<T>();
        types.array(element, N as u32)
    }
}

// SAFETY: an integer inside.
unsafe impl<T: Describe> KernelType for Ptr<T> {}

impl<T: Describe> Describe for Ptr<T> {
    fn describe(types: &mut Types) -> TypeId {
        let target = types.of::<T>();
        types.pointer(target)
    }
}

macro_rules! pointees {
    ($($rust:ty, $describe:expr;)*) => {$(
        impl Describe for $rust {
            fn describe(types: &mut Types) -> TypeId {
                let describe: fn(&mut Types) -> TypeId = $describe;
                describe(types)
            }
        }
    )*};
}

pointees! {
    Void, |_| TypeId::VOID;
    ConstChar, |t| { let char = t.of::<i8>(); t.constant(char) };
    ConstUnsignedChar, |t| { let char = t.of::<u8>(); t.constant(char) };
}

/// Defines structs: the Rust type and its BTF from one text. `name: type [alias]` gives a member
/// the type of a typedef; `name: type { a: 4, b: 4 }` names the bits of a member; members called
/// `anon…` are anonymous.
macro_rules! kernel_structs {
    ($(
        $(#[$meta:meta])*
        $keyword:ident $rust:ident = $c:literal {
            $($field:ident: $ty:ty $([$alias:literal])? $({ $($bit:ident: $width:literal),* $(,)? })?),*
            $(,)?
        }
    )*) => {
        /// Describes all of this file.
        pub(super) fn describe_all(types: &mut $crate::types::describe::Types) {
            $(types.of::<$rust>();)*
        }

        $(
        $crate::types::describe::kernel_struct_body! {
            $keyword, $(#[$meta])*, $rust, $($field: $ty),*
        }

        // SAFETY: every member's type is a KernelType, for which every bit pattern is valid.
        unsafe impl $crate::types::describe::KernelType for $rust {}

        impl $crate::types::describe::Describe for $rust {
            fn describe(types: &mut $crate::types::describe::Types) -> panal_btf::TypeId {
                let union = stringify!($keyword) == "union";
                types.aggregate::<$rust>($c, union, |types| {
                    let mut members = Vec::new();
                    $(
                        #[allow(unused_mut, unused_assignments)]
                        let mut ty = types.of::<$ty>();
                        $(ty = types.typedef($alias, ty);)?
                        let at = std::mem::offset_of!($rust, $field) as u32 * 8;
                        let bits: &[(&str, u8)] = &[$($((stringify!($bit), $width)),*)?];
                        $crate::types::describe::members(
                            &mut members, stringify!($field), ty, at, bits,
                        );
                    )*
                    members
                })
            }
        }
    )*};
}
pub(crate) use kernel_structs;

macro_rules! kernel_struct_body {
    (union, $(#[$meta:meta])*, $rust:ident, $($field:ident: $ty:ty),*) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        #[allow(missing_docs, non_snake_case)] // members are named and meant as in Linux
        pub union $rust {
            $(pub $field: $ty),*
        }
    };
    (struct, $(#[$meta:meta])*, $rust:ident, $($field:ident: $ty:ty),*) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        #[allow(missing_docs, non_snake_case)] // members are named and meant as in Linux
        pub struct $rust {
            $(pub $field: $ty),*
        }
    };
}
pub(crate) use kernel_struct_body;

/// Declares structs that are only pointed to.
macro_rules! opaque_structs {
    ($($rust:ident = $c:literal,)*) => {$(
        #[doc = concat!("`struct ", $c, "`, of which nothing is published.")]
        #[derive(Clone, Copy)]
        pub enum $rust {}

        impl $crate::types::describe::Describe for $rust {
            fn describe(types: &mut $crate::types::describe::Types) -> panal_btf::TypeId {
                types.forward($c)
            }
        }
    )*};
}
pub(crate) use opaque_structs;

/// Adds a member, or the members of its bits.
pub(crate) fn members(
    to: &mut Vec<Member>,
    field: &str,
    ty: TypeId,
    bit_offset: u32,
    bits: &[(&str, u8)],
) {
    let field = field.strip_prefix("r#").unwrap_or(field);
    if bits.is_empty() {
        let name = if field.starts_with("anon") { "" } else { field };
        to.push(Member {
            name: name.into(),
            ty,
            bit_offset,
            bits: 0,
        });
        return;
    }
    let mut at = bit_offset;
    for (name, width) in bits {
        to.push(Member {
            name: (*name).into(),
            ty,
            bit_offset: at,
            bits: *width,
        });
        at += u32::from(*width);
    }
}
