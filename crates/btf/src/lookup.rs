//! Questions about types: what is it underneath, how large is it, where is that member.

use alloc::sync::Arc;

use crate::{
    table::Btf,
    types::{Kind, KindTag, Member, Param, SecVar, Type, TypeId},
};

/// Members looked at in one search: a hostile BTF can nest empty structs so that there are billions.
const MAX_MEMBERS: usize = 1 << 18;

impl Btf {
    /// Skips typedefs, `const`, `volatile`, `restrict` and type tags: what a type is underneath.
    pub fn resolve(&self, id: TypeId) -> (TypeId, &Type) {
        let mut id = id;
        // Chains have an end: that was checked when they were parsed.
        while let Some(next) = self.kind(id).modified() {
            id = next;
        }
        (id, self.get_or_void(id))
    }

    /// As [`Btf::resolve`], but stops at a typedef.
    pub fn skip_modifiers(&self, id: TypeId) -> (TypeId, &Type) {
        let mut id = id;
        loop {
            match self.kind(id) {
                Kind::Typedef(_) => break,
                kind => match kind.modified() {
                    Some(next) => id = next,
                    None => break,
                },
            }
        }
        (id, self.get_or_void(id))
    }

    /// The type of this number, or `void` if out of range.
    pub(crate) fn get_or_void(&self, id: TypeId) -> &Type {
        self.get(id).unwrap_or_else(|| self.void())
    }

    /// Size in bytes; `None` for what has none: `void`, forward declarations, functions.
    pub fn size_of(&self, id: TypeId) -> Option<u32> {
        let mut id = id;
        let mut count: u32 = 1;
        loop {
            let (_, ty) = self.resolve(id);
            let size = match ty.kind {
                Kind::Int { size, .. }
                | Kind::Struct { size, .. }
                | Kind::Union { size, .. }
                | Kind::Enum { size, .. }
                | Kind::DataSec { size, .. }
                | Kind::Float { size } => size,
                Kind::Ptr(_) => 8,
                Kind::Array { element, len, .. } => {
                    count = count.checked_mul(len)?;
                    id = element;
                    continue;
                }
                Kind::Var { ty, .. } => {
                    id = ty;
                    continue;
                }
                _ => return None,
            };
            return count.checked_mul(size);
        }
    }

    /// Alignment in bytes that C would give it; 1 for a packed struct. `None` as for
    /// [`Btf::size_of`].
    pub fn align_of(&self, id: TypeId) -> Option<u32> {
        match self.own_align(id) {
            0 => None,
            align => Some(align.into()),
        }
    }

    /// Whether a struct or union is laid out tighter than C would by itself.
    pub fn is_packed(&self, id: TypeId) -> bool {
        let (_, ty) = self.resolve(id);
        let Some(members) = ty.kind.members() else {
            return false;
        };
        let natural = members
            .iter()
            .filter_map(|m| self.align_of(m.ty))
            .max()
            .unwrap_or(1);
        self.align_of(id).unwrap_or(1) < natural
    }

    /// The member that a path of names leads to from a struct or union, through anonymous members,
    /// with its offset in bits from the start: `a.b.c`.
    pub fn member_by_path<'a>(&self, id: TypeId, path: &'a str) -> Result<Place, NoMember<'a>> {
        let mut place = Place {
            ty: id,
            bit_offset: 0,
            bits: 0,
        };
        for name in path.split('.') {
            let found = self.member(place.ty, name).ok_or(NoMember {
                name,
                within: place.ty,
            })?;
            place = Place {
                bit_offset: place.bit_offset + found.bit_offset,
                ..found
            };
        }
        Ok(place)
    }

    /// The member of this name of a struct or union (also through a typedef), looked for in its
    /// anonymous members too.
    pub fn member(&self, id: TypeId, name: &str) -> Option<Place> {
        self.member_within(id, name, &mut 0)
    }

    fn member_within(&self, id: TypeId, name: &str, seen: &mut usize) -> Option<Place> {
        let (_, ty) = self.resolve(id);
        let members = ty.kind.members()?;
        *seen += 1 + members.len();
        if *seen > MAX_MEMBERS {
            return None;
        }
        if let Some(member) = members.iter().find(|member| *member.name == *name) {
            let &Member {
                ty,
                bit_offset,
                bits,
                ..
            } = member;
            return Some(Place {
                ty,
                bit_offset,
                bits,
            });
        }
        // How deep they nest was bounded when the types were checked.
        members
            .iter()
            .filter(|member| member.name.is_empty())
            .find_map(|outer| {
                let inner = self.member_within(outer.ty, name, seen)?;
                Some(Place {
                    bit_offset: inner.bit_offset + outer.bit_offset,
                    ..inner
                })
            })
    }

    /// Return type and parameters of a [`Kind::Func`], a [`Kind::FuncProto`] or a pointer to one.
    pub fn prototype(&self, id: TypeId) -> Option<Prototype<'_>> {
        let mut id = self.resolve(id).0;
        loop {
            match self.kind(id) {
                Kind::Func { proto, .. } => id = *proto,
                Kind::Ptr(to) => {
                    id = self.resolve(*to).0;
                    if !matches!(self.kind(id), Kind::FuncProto { .. }) {
                        return None;
                    }
                }
                Kind::FuncProto { ret, params } => {
                    // `...` is a last parameter of type void.
                    let variadic = params.last().is_some_and(|last| last.ty == TypeId::VOID);
                    let named = params.len() - usize::from(variadic);
                    return Some(Prototype {
                        id,
                        ret: *ret,
                        params: &params[..named],
                        variadic,
                    });
                }
                _ => return None,
            }
        }
    }

    /// The variables of the section of this name, as `.rodata` or `.ksyms`.
    pub fn section(&self, name: &str) -> Option<(TypeId, u32, &[SecVar])> {
        let id = self.find(name, KindTag::DataSec)?;
        match self.kind(id) {
            Kind::DataSec { size, vars } => Some((id, *size, vars)),
            _ => None,
        }
    }

    /// The type tags on the way from a type to what it is underneath, outermost first: those of
    /// `T __rcu __kptr *p` stand before the type that the pointer leads to.
    pub fn type_tags(&self, id: TypeId) -> impl Iterator<Item = &str> {
        core::iter::successors(self.get(id), |ty| self.get(ty.kind.modified()?)).filter_map(|ty| {
            match ty.kind {
                Kind::TypeTag {
                    attribute: false, ..
                } => Some(&*ty.name),
                _ => None,
            }
        })
    }
}

/// A member found: its type and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Type of the member.
    pub ty: TypeId,
    /// Bits from the start of the type that was searched.
    pub bit_offset: u32,
    /// Width in bits of a bitfield, 0 otherwise.
    pub bits: u8,
}

/// A path names a member that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no member `{name}` in type {within}")]
pub struct NoMember<'a> {
    /// The name looked for.
    pub name: &'a str,
    /// Where it was looked for.
    pub within: TypeId,
}

/// What a function takes and returns.
#[derive(Clone, Copy, Debug)]
pub struct Prototype<'a> {
    /// The [`Kind::FuncProto`].
    pub id: TypeId,
    /// Type of the return value.
    pub ret: TypeId,
    /// Parameters without a final `...`.
    pub params: &'a [Param],
    /// Whether it ends with `...`.
    pub variadic: bool,
}

/// Declaration tags by what they tag; made once by [`Btf::decl_tags`] for many questions.
#[derive(Clone, Debug, Default)]
pub struct DeclTags {
    /// Sorted by type and component.
    tags: alloc::vec::Vec<(TypeId, i32, Arc<str>)>,
}

impl Btf {
    /// All declaration tags of this BTF (without its base), to be asked by what they tag.
    pub fn decl_tags(&self) -> DeclTags {
        let mut tags: alloc::vec::Vec<_> = self
            .iter_own()
            .filter_map(|(_, ty)| match ty.kind {
                Kind::DeclTag {
                    ty: to, component, ..
                } => Some((to, component, ty.name.clone())),
                _ => None,
            })
            .collect();
        tags.sort_by_key(|&(to, component, _)| (to, component));
        DeclTags { tags }
    }
}

impl DeclTags {
    /// Tags of a type itself: a function, a variable, a struct, a typedef.
    pub fn of(&self, id: TypeId) -> impl Iterator<Item = &str> {
        self.at(id, -1)
    }

    /// Tags of a member of a struct or union, or of a parameter of a function.
    pub fn of_component(&self, id: TypeId, index: usize) -> impl Iterator<Item = &str> {
        // No component has a number beyond i32: its index would have been refused.
        self.at(id, i32::try_from(index).unwrap_or(i32::MAX))
    }

    /// The rest of the first tag of a type that begins with `prefix`: the callback's name of
    /// `exception_callback:NAME`.
    pub fn value<'a>(&'a self, id: TypeId, prefix: &str) -> Option<&'a str> {
        self.of(id).find_map(|tag| tag.strip_prefix(prefix))
    }

    fn at(&self, id: TypeId, component: i32) -> impl Iterator<Item = &str> {
        let start = self.tags.partition_point(|t| (t.0, t.1) < (id, component));
        self.tags[start..]
            .iter()
            .take_while(move |t| (t.0, t.1) == (id, component))
            .map(|t| &*t.2)
    }
}
