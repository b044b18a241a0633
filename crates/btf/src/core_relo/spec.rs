//! The way from a type to a field, an enumerator or the type itself.

use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use super::{CoreFault, CoreKind, CoreRelo, Subject};
use crate::{
    table::Btf,
    types::{Kind, TypeId},
};

/// libbpf's limit (`BPF_CORE_SPEC_MAX_LEN`).
pub(super) const MAX_LENGTH: usize = 64;

/// A way through the types of one BTF.
#[derive(Clone)]
pub(super) struct Spec<'a> {
    pub btf: &'a Btf,
    pub kind: CoreKind,
    /// Where it begins.
    pub root: TypeId,
    /// Named members and array indices; members without a name are passed over.
    pub accessors: Vec<Accessor<'a>>,
    /// All indices, for messages.
    pub raw: Vec<u32>,
    /// Bits from the start of the root.
    pub bit_offset: u64,
}

/// One step on the way.
#[derive(Clone, Copy)]
pub(super) struct Accessor<'a> {
    /// For a member the struct or union that it is of, for an array index the element type, for an
    /// enumerator the enumeration.
    pub ty: TypeId,
    pub index: u32,
    /// Of a member or enumerator.
    pub name: Option<&'a str>,
}

impl<'a> Spec<'a> {
    /// Empty: nothing but the root.
    pub fn root(btf: &'a Btf, kind: CoreKind, root: TypeId) -> Spec<'a> {
        Spec {
            btf,
            kind,
            root,
            accessors: Vec::new(),
            raw: Vec::new(),
            bit_offset: 0,
        }
    }

    /// The way that the compiler recorded.
    pub fn parse(btf: &'a Btf, relo: &CoreRelo) -> Result<Spec<'a>, CoreFault> {
        let mut spec = Spec::root(btf, relo.kind, relo.ty);
        for index in relo.access.split(':') {
            if spec.raw.len() == MAX_LENGTH {
                return Err(CoreFault::Access("more than 64 steps"));
            }
            spec.raw.push(
                index
                    .parse()
                    .map_err(|_| CoreFault::Access("not numbers"))?,
            );
        }
        match relo.kind.subject() {
            Subject::Type if spec.raw == [0] => Ok(spec),
            Subject::Type => Err(CoreFault::Access("not 0 for a type")),
            Subject::Enumerator => spec.enumerator(),
            Subject::Field => spec.fields(),
        }
    }

    fn enumerator(mut self) -> Result<Spec<'a>, CoreFault> {
        let (ty, resolved) = self.btf.resolve(self.root);
        let Kind::Enum { values, .. } = &resolved.kind else {
            return Err(CoreFault::Access(
                "an enumerator of a type that is no enumeration",
            ));
        };
        let [index] = self.raw[..] else {
            return Err(CoreFault::Access("more than one step for an enumerator"));
        };
        let value = values.get(index as usize);
        let value = value.ok_or(CoreFault::Access("an enumerator that does not exist"))?;
        self.accessors.push(Accessor {
            ty,
            index,
            name: Some(&value.name),
        });
        Ok(self)
    }

    fn fields(mut self) -> Result<Spec<'a>, CoreFault> {
        let mut id = self.btf.resolve(self.root).0;
        let raw = core::mem::take(&mut self.raw);
        for (step, &index) in raw.iter().enumerate() {
            // The first step is into an array that the pointer leads to.
            if step == 0 {
                self.element(id, index)?;
                continue;
            }
            let (ty, resolved) = self.btf.resolve(id);
            match &resolved.kind {
                Kind::Struct { members, .. } | Kind::Union { members, .. } => {
                    let member = members.get(index as usize);
                    let member = member.ok_or(CoreFault::Access("a member that does not exist"))?;
                    self.bit_offset += u64::from(member.bit_offset);
                    if !member.name.is_empty() {
                        self.accessors.push(Accessor {
                            ty,
                            index,
                            name: Some(&member.name),
                        });
                    }
                    id = member.ty;
                }
                Kind::Array { element, len, .. } => {
                    if index >= *len && !self.is_flexible(*len) {
                        return Err(CoreFault::Access("an array element that does not exist"));
                    }
                    id = self.btf.resolve(*element).0;
                    self.element(id, index)?;
                }
                _ => return Err(CoreFault::Access("a member of a type that has none")),
            }
        }
        self.raw = raw;
        Ok(self)
    }

    /// Steps to an element of a type.
    pub fn element(&mut self, ty: TypeId, index: u32) -> Result<(), CoreFault> {
        let size = self.btf.size_of(ty).ok_or(CoreFault::NoSize)?;
        self.bit_offset += u64::from(index)
            .wrapping_mul(u64::from(size))
            .wrapping_mul(8);
        self.accessors.push(Accessor {
            ty,
            index,
            name: None,
        });
        Ok(())
    }

    /// Whether an array of `len` elements that the last step led to is a flexible one: of no
    /// elements, and the last member.
    pub fn is_flexible(&self, len: u32) -> bool {
        let Some(Accessor {
            ty,
            index,
            name: Some(_),
        }) = self.accessors.last().copied()
        else {
            return false;
        };
        let count = self
            .btf
            .kind(ty)
            .members()
            .map_or(0, |members| members.len());
        len == 0 && index as usize + 1 == count
    }
}

impl fmt::Display for Spec<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ty = self.btf.get_or_void(self.root);
        let name = if ty.name.is_empty() {
            "<anon>"
        } else {
            &ty.name
        };
        write!(f, "<{}> {} ", self.kind, self.root)?;
        for c in ty.kind.tag().name().chars() {
            f.write_char(c.to_ascii_lowercase())?;
        }
        f.write_char(' ')?;
        f.write_str(name)?;
        match self.kind.subject() {
            Subject::Type => Ok(()),
            Subject::Enumerator => {
                let Some(accessor) = self.accessors.first() else {
                    return Ok(());
                };
                write!(f, "::{}", accessor.name.unwrap_or_default())?;
                if let Kind::Enum { values, signed, .. } = self.btf.kind(accessor.ty)
                    && let Some(value) = values.get(accessor.index as usize)
                {
                    match signed {
                        true => write!(f, " = {}", value.value)?,
                        false => write!(f, " = {}", value.value as u64)?,
                    }
                }
                Ok(())
            }
            Subject::Field => {
                for (i, accessor) in self.accessors.iter().enumerate() {
                    match accessor.name {
                        Some(name) => write!(f, ".{name}")?,
                        None if i > 0 || accessor.index > 0 => write!(f, "[{}]", accessor.index)?,
                        None => {}
                    }
                }
                f.write_str(" (")?;
                for (i, index) in self.raw.iter().enumerate() {
                    write!(f, "{}{index}", if i == 0 { "" } else { ":" })?;
                }
                match self.bit_offset % 8 {
                    0 => write!(f, " @ offset {})", self.bit_offset / 8),
                    bit => write!(f, " @ offset {}.{bit})", self.bit_offset / 8),
                }
            }
        }
    }
}
