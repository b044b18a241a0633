//! When two types, of the object and of the target, count as the same.

use super::{CoreFault, same_kind};
use crate::{
    index::essential_name,
    table::Btf,
    types::{EnumValue, Kind, KindTag, Member, TypeId},
};

/// How deep two types are compared: libbpf's limit.
const MAX_LEVELS: u32 = 32;
/// How many pairs of types are compared: far more than any real type has.
const MAX_PAIRS: u32 = 1 << 16;

/// Whether a field may be read as another: integers of any size and sign, pointers to anything,
/// arrays of such, structs and unions of any shape.
pub(super) fn fields_compatible(l: &Btf, local: TypeId, t: &Btf, target: TypeId) -> bool {
    let (mut local, mut target) = (local, target);
    loop {
        let (a, b) = (l.resolve(local).1, t.resolve(target).1);
        return match (&a.kind, &b.kind) {
            (
                Kind::Struct { .. } | Kind::Union { .. },
                Kind::Struct { .. } | Kind::Union { .. },
            )
            | (Kind::Ptr(_), Kind::Ptr(_))
            | (Kind::Float { .. }, Kind::Float { .. }) => true,
            (Kind::Fwd { .. }, Kind::Fwd { .. }) | (Kind::Enum { .. }, Kind::Enum { .. }) => {
                let (a, b) = (essential_name(&a.name), essential_name(&b.name));
                a.is_empty() || b.is_empty() || a == b
            }
            // Integers with an offset are a form of bitfield that no compiler makes any more.
            (Kind::Int { offset: a, .. }, Kind::Int { offset: b, .. }) => *a == 0 && *b == 0,
            (Kind::Array { element: a, .. }, Kind::Array { element: b, .. }) => {
                (local, target) = (*a, *b);
                continue;
            }
            _ => false,
        };
    }
}

/// Whether two types of the same name are the same kind of thing; members are not compared. For
/// externs of the object, `local` and `target` are function prototypes or types of variables.
pub fn types_compatible(
    l: &Btf,
    local: TypeId,
    t: &Btf,
    target: TypeId,
) -> Result<bool, CoreFault> {
    if !same_kind(l.kind(local).tag(), t.kind(target).tag()) {
        return Ok(false);
    }
    Pair { l, t, pairs: 0 }.compatible(local, target, MAX_LEVELS)
}

/// Whether the target's type has all that the local one has: members of the same names and
/// matching types, enumerators of the same names; what is behind a pointer needs the same name
/// and kind only.
pub(super) fn types_match(
    l: &Btf,
    local: TypeId,
    t: &Btf,
    target: TypeId,
) -> Result<bool, CoreFault> {
    Pair { l, t, pairs: 0 }.matches(local, target, false, MAX_LEVELS)
}

struct Pair<'l, 't> {
    l: &'l Btf,
    t: &'t Btf,
    pairs: u32,
}

impl Pair<'_, '_> {
    fn count(&mut self, level: u32) -> Result<(), CoreFault> {
        self.pairs += 1;
        if level == 0 || self.pairs > MAX_PAIRS {
            return Err(CoreFault::TooComplex);
        }
        Ok(())
    }

    fn compatible(&mut self, local: TypeId, target: TypeId, level: u32) -> Result<bool, CoreFault> {
        let (mut local, mut target, mut level) = (local, target, level);
        loop {
            self.count(level)?;
            level -= 1;
            let (a, b) = (self.l.resolve(local).1, self.t.resolve(target).1);
            if !same_kind(a.kind.tag(), b.kind.tag()) {
                return Ok(false);
            }
            match (&a.kind, &b.kind) {
                (Kind::Int { offset: a, .. }, Kind::Int { offset: b, .. }) => {
                    return Ok(*a == 0 && *b == 0);
                }
                (Kind::Ptr(a), Kind::Ptr(b))
                | (Kind::Array { element: a, .. }, Kind::Array { element: b, .. }) => {
                    (local, target) = (*a, *b);
                }
                (
                    Kind::FuncProto {
                        ret: a_ret,
                        params: a,
                    },
                    Kind::FuncProto {
                        ret: b_ret,
                        params: b,
                    },
                ) => {
                    if a.len() != b.len() {
                        return Ok(false);
                    }
                    for (a, b) in a.iter().zip(b) {
                        if !self.compatible(a.ty, b.ty, level)? {
                            return Ok(false);
                        }
                    }
                    (local, target) = (*a_ret, *b_ret);
                }
                _ => {
                    use KindTag::*;
                    let tag = a.kind.tag();
                    return Ok(matches!(tag, Void | Struct | Union | Enum | Enum64 | Fwd));
                }
            }
        }
    }

    fn matches(
        &mut self,
        local: TypeId,
        target: TypeId,
        behind_pointer: bool,
        level: u32,
    ) -> Result<bool, CoreFault> {
        let (mut local, mut target, mut level) = (local, target, level);
        let mut behind_pointer = behind_pointer;
        loop {
            self.count(level)?;
            level -= 1;
            let (l, t) = (self.l, self.t);
            let (a, b) = (l.resolve(local).1, t.resolve(target).1);
            if !names_match(&a.name, &b.name) {
                return Ok(false);
            }
            return Ok(match (&a.kind, &b.kind) {
                (Kind::Void, Kind::Void) => true,
                (Kind::Fwd { union: a }, Kind::Fwd { union: b }) => a == b,
                (Kind::Fwd { union }, Kind::Struct { .. })
                | (Kind::Struct { .. }, Kind::Fwd { union }) => behind_pointer && !union,
                (Kind::Fwd { union }, Kind::Union { .. })
                | (Kind::Union { .. }, Kind::Fwd { union }) => behind_pointer && *union,
                (
                    Kind::Enum {
                        size: a_size,
                        values: a,
                        ..
                    },
                    Kind::Enum {
                        size: b_size,
                        values: b,
                        ..
                    },
                ) => a_size == b_size && enums_match(a, b),
                (Kind::Struct { members: a, .. }, Kind::Struct { members: b, .. })
                | (Kind::Union { members: a, .. }, Kind::Union { members: b, .. }) => {
                    behind_pointer || self.members_match(a, b, level)?
                }
                (
                    Kind::Int {
                        size: a,
                        encoding: a_encoding,
                        ..
                    },
                    Kind::Int {
                        size: b,
                        encoding: b_encoding,
                        ..
                    },
                ) => a == b && a_encoding.signed == b_encoding.signed,
                (Kind::Ptr(a), Kind::Ptr(b)) => {
                    behind_pointer = true;
                    (local, target) = (*a, *b);
                    continue;
                }
                (
                    Kind::Array {
                        element: a,
                        len: a_len,
                        ..
                    },
                    Kind::Array {
                        element: b,
                        len: b_len,
                        ..
                    },
                ) if a_len == b_len => {
                    (local, target) = (*a, *b);
                    continue;
                }
                (
                    Kind::FuncProto {
                        ret: a_ret,
                        params: a,
                    },
                    Kind::FuncProto {
                        ret: b_ret,
                        params: b,
                    },
                ) if a.len() == b.len() => {
                    for (a, b) in a.iter().zip(b) {
                        if !self.matches(a.ty, b.ty, behind_pointer, level)? {
                            return Ok(false);
                        }
                    }
                    (local, target) = (*a_ret, *b_ret);
                    continue;
                }
                _ => false,
            });
        }
    }

    /// Every local member has its match.
    fn members_match(&mut self, a: &[Member], b: &[Member], level: u32) -> Result<bool, CoreFault> {
        if a.len() > b.len() {
            return Ok(false);
        }
        'local: for a in a {
            for b in b {
                if names_match(&a.name, &b.name) && self.matches(a.ty, b.ty, false, level)? {
                    continue 'local;
                }
            }
            return Ok(false);
        }
        Ok(true)
    }
}

/// Every local enumerator is there.
fn enums_match(a: &[EnumValue], b: &[EnumValue]) -> bool {
    a.len() <= b.len()
        && a.iter()
            .all(|a| b.iter().any(|b| names_match(&a.name, &b.name)))
}

fn names_match(a: &str, b: &str) -> bool {
    essential_name(a) == essential_name(b)
}
