//! Types to the bytes of a `.BTF` section.

use alloc::{sync::Arc, vec::Vec};

use crate::{
    error::BtfError,
    parse::{HEADER_SIZE, MAGIC},
    strings::Strings,
    table::Btf,
    types::{Encoding, Kind, Linkage, Member, Type, TypeId, VarLinkage},
};

/// Collects types and writes them.
///
/// Types may refer to numbers that come later; everything is checked by [`Builder::finish`].
#[derive(Clone)]
pub struct Builder {
    base: Option<Arc<Btf>>,
    first_own: u32,
    types: Vec<Type>,
    strings: Strings,
    empty: Arc<str>,
}

/// Why types cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The format has no room for a value.
    #[error("type {id} cannot be written: {what}")]
    Field {
        /// Number of the type.
        id: TypeId,
        /// What does not fit.
        what: &'static str,
    },
    /// More than 4 GiB.
    #[error("more types or strings than BTF can hold")]
    TooLarge,
    /// What was written is no valid BTF.
    #[error(transparent)]
    Invalid(#[from] BtfError),
}

impl Default for Builder {
    fn default() -> Self {
        Builder::new()
    }
}

impl From<&Btf> for Builder {
    /// Goes on with the types of a BTF: numbers of types and offsets of strings stay. A split BTF
    /// stays one.
    fn from(btf: &Btf) -> Self {
        let base = btf.base().cloned();
        let void = usize::from(base.is_none());
        Builder {
            first_own: btf.first_own() + void as u32,
            types: btf.own()[void..].to_vec(),
            strings: Strings::with(base.clone(), btf.own_strings()),
            base,
            empty: Arc::from(""),
        }
    }
}

impl Builder {
    /// No types yet: the first gets number 1.
    pub fn new() -> Builder {
        Builder {
            base: None,
            first_own: 1,
            types: Vec::new(),
            strings: Strings::new(None),
            empty: Arc::from(""),
        }
    }

    /// Types to be added to those of `base`.
    pub fn split(base: Arc<Btf>) -> Builder {
        Builder {
            first_own: base.len() as u32,
            types: Vec::new(),
            strings: Strings::new(Some(base.clone())),
            base: Some(base),
            empty: Arc::from(""),
        }
    }

    /// Adds a type and returns its number.
    pub fn add(&mut self, name: &str, kind: Kind) -> TypeId {
        let id = self.next();
        let name = if name.is_empty() {
            self.empty.clone()
        } else {
            Arc::from(name)
        };
        self.types.push(Type { name, kind });
        id
    }

    /// The number that the next type gets.
    pub fn next(&self) -> TypeId {
        TypeId(self.first_own + self.types.len() as u32)
    }

    /// A type added, to look at or change; `None` for one of the base or one that does not exist.
    pub fn get_mut(&mut self, id: TypeId) -> Option<&mut Type> {
        self.types
            .get_mut(id.0.checked_sub(self.first_own)? as usize)
    }

    /// The offset of a string in the string section, which is added if it is new.
    pub fn add_string(&mut self, string: &str) -> u32 {
        self.strings.add(string)
    }

    /// An integer of `size` bytes with all bits used.
    pub fn int(&mut self, name: &str, size: u32, encoding: Encoding) -> TypeId {
        let bits = (size * 8).min(128) as u8;
        self.add(
            name,
            Kind::Int {
                size,
                bits,
                offset: 0,
                encoding,
            },
        )
    }

    /// A signed integer of `size` bytes.
    pub fn signed(&mut self, name: &str, size: u32) -> TypeId {
        self.int(
            name,
            size,
            Encoding {
                signed: true,
                ..Encoding::default()
            },
        )
    }

    /// An unsigned integer of `size` bytes.
    pub fn unsigned(&mut self, name: &str, size: u32) -> TypeId {
        self.int(name, size, Encoding::default())
    }

    /// A pointer.
    pub fn ptr(&mut self, to: TypeId) -> TypeId {
        self.add("", Kind::Ptr(to))
    }

    /// A struct of members given by name, type and offset in bytes.
    pub fn structure(&mut self, name: &str, size: u32, members: &[(&str, TypeId, u32)]) -> TypeId {
        let members = members
            .iter()
            .map(|&(name, ty, offset)| Member {
                name: Arc::from(name),
                ty,
                bit_offset: offset.saturating_mul(8),
                bits: 0,
            })
            .collect();
        self.add(name, Kind::Struct { size, members })
    }

    /// A function prototype and a global function of it; parameters by name and type.
    pub fn func(&mut self, name: &str, ret: TypeId, params: &[(&str, TypeId)]) -> TypeId {
        let params = params
            .iter()
            .map(|&(name, ty)| crate::types::Param {
                name: Arc::from(name),
                ty,
            })
            .collect();
        let proto = self.add("", Kind::FuncProto { ret, params });
        self.add(
            name,
            Kind::Func {
                proto,
                linkage: Linkage::Global,
            },
        )
    }

    /// The bytes of a `.BTF` section.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let mut strings = self.strings.clone();
        let mut out = Writer {
            bytes: Vec::new(),
            strings: &mut strings,
        };
        out.bytes.resize(HEADER_SIZE as usize, 0);
        for (index, ty) in self.types.iter().enumerate() {
            let id = TypeId(self.first_own + index as u32);
            out.ty(ty).map_err(|what| WriteError::Field { id, what })?;
        }
        let mut bytes = out.bytes;
        let types = bytes.len() - HEADER_SIZE as usize;
        bytes.extend_from_slice(strings.bytes());
        let length = u32::try_from(bytes.len()).map_err(|_| WriteError::TooLarge)?;
        let header = [
            u32::from(MAGIC) | 1 << 16,
            HEADER_SIZE,
            0,
            types as u32,
            types as u32,
            length - HEADER_SIZE - types as u32,
        ];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(header) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        Ok(bytes)
    }

    /// Checks the types and returns them as a [`Btf`].
    pub fn finish(&self) -> Result<Btf, WriteError> {
        let bytes = self.to_bytes()?;
        Ok(match &self.base {
            None => Btf::parse(&bytes)?,
            Some(base) => Btf::parse_split(&bytes, base.clone())?,
        })
    }
}

impl Btf {
    /// The bytes of a `.BTF` section; of a split BTF, without its base. What was parsed from bytes
    /// as compilers and Linux lay them out comes back the same, byte for byte.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        Builder::from(self).to_bytes()
    }
}

struct Writer<'a> {
    bytes: Vec<u8>,
    strings: &'a mut Strings,
}

impl Writer<'_> {
    fn words<const N: usize>(&mut self, words: [u32; N]) {
        for word in words {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
    }

    fn ty(&mut self, ty: &Type) -> Result<(), &'static str> {
        let name = self.strings.add(&ty.name);
        let (flag, vlen, word) = head(&ty.kind)?;
        let vlen = u16::try_from(vlen).map_err(|_| "more than 65535 members or values")?;
        let kind = u32::from(ty.kind.tag() as u8);
        self.words([
            name,
            u32::from(flag) << 31 | kind << 24 | u32::from(vlen),
            word,
        ]);
        self.tail(&ty.kind, flag)
    }

    /// What follows the head.
    fn tail(&mut self, kind: &Kind, flag: bool) -> Result<(), &'static str> {
        match kind {
            Kind::Int {
                bits,
                offset,
                encoding,
                ..
            } => {
                let Encoding { signed, char, bool } = *encoding;
                let encoding = u32::from(signed) | u32::from(char) << 1 | u32::from(bool) << 2;
                self.words([encoding << 24 | u32::from(*offset) << 16 | u32::from(*bits)]);
            }
            Kind::Array {
                element,
                index,
                len,
            } => self.words([element.0, index.0, *len]),
            Kind::Struct { members, .. } | Kind::Union { members, .. } => {
                for member in members {
                    let name = self.strings.add(&member.name);
                    let offset = match flag {
                        true if member.bit_offset >> 24 != 0 => {
                            return Err("a member beyond 2 MiB beside bitfields");
                        }
                        true => u32::from(member.bits) << 24 | member.bit_offset,
                        false => member.bit_offset,
                    };
                    self.words([name, member.ty.0, offset]);
                }
            }
            Kind::Enum {
                wide: false,
                signed,
                values,
                ..
            } => {
                for value in values {
                    let name = self.strings.add(&value.name);
                    let word = match signed {
                        true => i32::try_from(value.value).map(|v| v as u32),
                        false => u32::try_from(value.value),
                    };
                    self.words([name, word.map_err(|_| "an enumerator beyond 32 bits")?]);
                }
            }
            Kind::Enum {
                wide: true, values, ..
            } => {
                for value in values {
                    let name = self.strings.add(&value.name);
                    self.words([name, value.value as u32, (value.value >> 32) as u32]);
                }
            }
            Kind::FuncProto { params, .. } => {
                for param in params {
                    let name = self.strings.add(&param.name);
                    self.words([name, param.ty.0]);
                }
            }
            Kind::Var { linkage, .. } => self.words([match linkage {
                VarLinkage::Static => 0,
                VarLinkage::Global => 1,
                VarLinkage::Extern => 2,
            }]),
            Kind::DataSec { vars, .. } => {
                for var in vars {
                    self.words([var.ty.0, var.offset, var.size]);
                }
            }
            Kind::DeclTag { component, .. } => self.words([*component as u32]),
            _ => {}
        }
        Ok(())
    }
}

/// `kind_flag`, `vlen` and `size` or `type` of a type.
fn head(kind: &Kind) -> Result<(bool, usize, u32), &'static str> {
    Ok(match kind {
        Kind::Void => return Err("void is not written"),
        Kind::Int { size, .. } | Kind::Float { size } => (false, 0, *size),
        Kind::Ptr(ty)
        | Kind::Typedef(ty)
        | Kind::Volatile(ty)
        | Kind::Const(ty)
        | Kind::Restrict(ty)
        | Kind::Var { ty, .. } => (false, 0, ty.0),
        Kind::DeclTag { ty, attribute, .. } | Kind::TypeTag { ty, attribute } => {
            (*attribute, 0, ty.0)
        }
        Kind::Array { .. } => (false, 0, 0),
        Kind::Struct { size, members } | Kind::Union { size, members } => {
            (members.iter().any(|m| m.bits != 0), members.len(), *size)
        }
        Kind::Enum {
            size,
            signed,
            values,
            ..
        } => (*signed, values.len(), *size),
        Kind::Fwd { union } => (*union, 0, 0),
        Kind::Func { proto, linkage } => (
            false,
            match linkage {
                Linkage::Static => 0,
                Linkage::Global => 1,
                Linkage::Extern => 2,
            },
            proto.0,
        ),
        Kind::FuncProto { ret, params } => (false, params.len(), ret.0),
        Kind::DataSec { size, vars } => (false, vars.len(), *size),
    })
}
