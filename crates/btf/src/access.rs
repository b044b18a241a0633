//! What a load at an offset of a struct reads: a number, a pointer to which type, or nothing that
//! has a meaning. The rules and messages are those of Linux's verifier for BTF-typed pointers.

use crate::{
    table::Btf,
    types::{Kind, TypeId},
};

/// What lies at an offset of a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// A number, or a part of one.
    Scalar {
        /// Type of the member (or array element) that is read from.
        ty: TypeId,
        /// Width in bits of a bitfield, 0 otherwise.
        bits: u8,
    },
    /// A whole pointer.
    Pointer(Pointer<'a>),
}

/// A pointer within a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer<'a> {
    /// What it points to, modifiers skipped: a struct or union, or anything else, `void` included.
    pub target: TypeId,
    /// What it points to as declared, with modifiers: ask [`Btf::type_tags`] for all tags.
    pub declared: TypeId,
    /// The outermost type tag of the target: `rcu`, `user`, `percpu`, `kptr`, ...
    pub tag: Option<&'a str>,
    /// The innermost struct or union that holds it.
    pub within: TypeId,
    /// Its name there.
    pub member: &'a str,
    /// Whether the way to it leads through a union of several members, so that it may not be a
    /// pointer at all at run time.
    pub through_union: bool,
}

/// One step of a walk into a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A struct or union that begins exactly at the offset.
    Struct(TypeId),
    /// Something that the walk ends at.
    End(Access<'a>),
}

/// Why an access makes no sense. The texts are Linux's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError<'a> {
    /// Not a struct or union.
    #[error("Type '{name}' is not a struct")]
    NotStruct {
        /// Name of the type.
        name: &'a str,
    },
    /// Beyond the last member.
    #[error("access beyond struct {name} at off {offset} size {size}")]
    Beyond {
        /// Name of the struct.
        name: &'a str,
        /// Offset in bytes within it.
        offset: u32,
        /// Size of the access in bytes.
        size: u32,
    },
    /// Between members.
    #[error("struct {name} doesn't have field at offset {offset}")]
    NoField {
        /// Name of the struct.
        name: &'a str,
        /// Offset in bytes within it.
        offset: u32,
    },
    /// A part of a pointer.
    #[error(
        "cannot access ptr member {member} with moff {start} in struct {name} with off {offset} \
         size {size}"
    )]
    PartOfPointer {
        /// Name of the member.
        member: &'a str,
        /// Where it begins.
        start: u32,
        /// Name of the struct.
        name: &'a str,
        /// Offset in bytes within it.
        offset: u32,
        /// Size of the access in bytes.
        size: u32,
    },
    /// Across the end of a member.
    #[error(
        "access beyond the end of member {member} (mend:{end}) in struct {name} with off {offset} \
         size {size}"
    )]
    BeyondMember {
        /// Name of the member.
        member: &'a str,
        /// Where it ends.
        end: u32,
        /// Name of the struct.
        name: &'a str,
        /// Offset in bytes within it.
        offset: u32,
        /// Size of the access in bytes.
        size: u32,
    },
}

impl Btf {
    /// What an access of `size` bytes at `offset` of a struct or union reads.
    pub fn access(
        &self,
        id: TypeId,
        offset: u32,
        size: u32,
    ) -> Result<Access<'_>, AccessError<'_>> {
        let mut through_union = false;
        let (mut id, mut offset) = (id, offset);
        loop {
            match self.walk(id, offset, size, &mut through_union)? {
                Step::End(access) => return Ok(access),
                Step::Struct(inner) => (id, offset) = (inner, 0),
            }
        }
    }

    /// Whether a struct or union is `wanted`, or holds one by value at exactly `offset`.
    pub fn holds_at(&self, id: TypeId, offset: u32, wanted: TypeId) -> bool {
        if offset == 0 && id == wanted {
            return true;
        }
        let (mut id, mut offset) = (id, offset);
        while let Ok(Step::Struct(inner)) = self.walk(id, offset, 1, &mut false) {
            if inner == wanted {
                return true;
            }
            (id, offset) = (inner, 0);
        }
        false
    }

    /// Walks to what begins at `offset` or contains it, down to the first struct that begins
    /// exactly there.
    pub fn walk(
        &self,
        id: TypeId,
        offset: u32,
        size: u32,
        through_union: &mut bool,
    ) -> Result<Step<'_>, AccessError<'_>> {
        let (mut id, mut offset) = (id, offset);
        loop {
            id = self.resolve(id).0;
            match self.within(id, offset, size, through_union)? {
                Within::Found(step) => return Ok(step),
                Within::Deeper(inner, rest) => (id, offset) = (inner, rest),
            }
        }
    }

    /// One level of [`Btf::walk`].
    fn within<'a>(
        &'a self,
        id: TypeId,
        offset: u32,
        size: u32,
        through_union: &mut bool,
    ) -> Result<Within<'a>, AccessError<'a>> {
        let ty = self.get_or_void(id);
        // As Linux calls what has no name.
        let named = |name: &'a str| match name {
            "" => "(anon)",
            name => name,
        };
        let name = named(&ty.name);
        let (total, members) = match &ty.kind {
            Kind::Struct { size, members } => (*size, members),
            Kind::Union { size, members } => {
                *through_union |= members.len() != 1;
                (*size, members)
            }
            _ => return Err(AccessError::NotStruct { name }),
        };
        let end = u64::from(offset) + u64::from(size);
        if end > u64::from(total) {
            return self.flexible(members, offset).ok_or(AccessError::Beyond {
                name,
                offset,
                size,
            });
        }
        for member in members {
            let start = member.bit_offset / 8;
            if end <= u64::from(start) {
                break;
            }
            if member.bits != 0 {
                let end_bit = u64::from(member.bit_offset) + u64::from(member.bits);
                // Whole bitfields only; one may begin later, after an unnamed one.
                if offset <= start && end_bit.div_ceil(8) <= end {
                    let access = Access::Scalar {
                        ty: member.ty,
                        bits: member.bits,
                    };
                    return Ok(Within::Found(Step::End(access)));
                }
                continue;
            }
            if offset < start {
                break;
            }
            let Some(member_size) = self.size_of(member.ty) else {
                continue;
            };
            let member_end = start.saturating_add(member_size);
            if offset >= member_end {
                continue;
            }
            let (element, element_size, index) =
                self.element(member.ty, member_size, offset - start);
            let start = start + index * element_size;
            let access = match &self.get_or_void(element).kind {
                Kind::Struct { .. } | Kind::Union { .. } if offset == start => {
                    return Ok(Within::Found(Step::Struct(element)));
                }
                Kind::Struct { .. } | Kind::Union { .. } => {
                    return Ok(Within::Deeper(element, offset - start));
                }
                Kind::Ptr(_) if element_size != size || offset != start => {
                    let member = named(&member.name);
                    return Err(AccessError::PartOfPointer {
                        member,
                        start,
                        name,
                        offset,
                        size,
                    });
                }
                Kind::Ptr(declared) => Access::Pointer(Pointer {
                    target: self.resolve(*declared).0,
                    declared: *declared,
                    tag: self.outer_tag(*declared),
                    within: id,
                    member: &member.name,
                    through_union: *through_union,
                }),
                // Within a union, what follows may be another member's.
                _ if end > u64::from(member_end) && !*through_union => {
                    let (member, end) = (named(&member.name), member_end);
                    return Err(AccessError::BeyondMember {
                        member,
                        end,
                        name,
                        offset,
                        size,
                    });
                }
                _ => Access::Scalar {
                    ty: element,
                    bits: 0,
                },
            };
            return Ok(Within::Found(Step::End(access)));
        }
        Err(AccessError::NoField { name, offset })
    }

    /// Beyond the end there may be elements of a flexible array.
    fn flexible(&self, members: &[crate::Member], offset: u32) -> Option<Within<'_>> {
        let last = members.last()?;
        let Kind::Array {
            element, len: 0, ..
        } = self.resolve(last.ty).1.kind
        else {
            return None;
        };
        let rest = offset.checked_sub(last.bit_offset / 8)?;
        let (element, ty) = self.resolve(element);
        match ty.kind {
            Kind::Int { .. } => Some(Within::Found(Step::End(Access::Scalar {
                ty: element,
                bits: 0,
            }))),
            Kind::Struct { size, .. } | Kind::Union { size, .. } => {
                Some(Within::Deeper(element, rest.checked_rem(size)?))
            }
            _ => None,
        }
    }

    /// The innermost element of a (many-dimensional) array at `offset`, its size and its index;
    /// the type itself if it is no array. Modifiers are skipped.
    fn element(&self, ty: TypeId, size: u32, offset: u32) -> (TypeId, u32, u32) {
        let (mut id, mut ty) = self.resolve(ty);
        if !matches!(ty.kind, Kind::Array { .. }) {
            return (id, size, 0);
        }
        while let Kind::Array { element, .. } = ty.kind {
            (id, ty) = self.resolve(element);
        }
        // Not empty, as the offset is within the array.
        let size = self.size_of(id).unwrap_or(0).max(1);
        (id, size, offset / size)
    }

    /// The type tag that stands first before a type.
    fn outer_tag(&self, id: TypeId) -> Option<&str> {
        let ty = self.get(id)?;
        matches!(
            ty.kind,
            Kind::TypeTag {
                attribute: false,
                ..
            }
        )
        .then_some(&*ty.name)
    }
}

enum Within<'a> {
    Found(Step<'a>),
    /// Within this struct, at this offset.
    Deeper(TypeId, u32),
}
