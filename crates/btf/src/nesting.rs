//! How deep types may lie within types for Linux, which resolves each type when it is first needed.
//!
//! A type that was resolved before is not entered again: so a chain of any length passes whose
//! types stand in the order of their needs, and one of 33 does not that stands the other way round.

use alloc::{vec, vec::Vec};

use crate::{
    table::Btf,
    types::{Kind, TypeId},
};

/// `MAX_RESOLVE_DEPTH`
pub const MAX_RESOLVE_DEPTH: usize = 32;

/// Linux's words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id} Exceeded max resolving depth:{MAX_RESOLVE_DEPTH}")]
pub struct TooDeep {
    /// The type from which the way goes too far.
    pub id: TypeId,
}

impl Btf {
    /// Checks that Linux would find no type too far within another.
    ///
    /// # Errors
    /// The first type from which Linux would have to keep more than [`MAX_RESOLVE_DEPTH`] in mind:
    /// it answers `E2BIG`.
    pub fn check_nesting(&self) -> Result<(), TooDeep> {
        let first = self.first_own();
        let mut resolved = vec![false; self.len() - first as usize];
        for (id, ty) in self.iter_own() {
            if has_needs(&ty.kind) && !resolved[(id.0 - first) as usize] {
                self.resolve_from(id, &mut resolved)?;
            }
        }
        Ok(())
    }

    /// Resolves a type, and what it needs first.
    fn resolve_from(&self, start: TypeId, resolved: &mut [bool]) -> Result<(), TooDeep> {
        let first = self.first_own();
        let mut through = Through::NotYet.entering(self.kind(start));
        let mut path: Vec<(TypeId, u32)> = vec![(start, 0)];
        while let Some((id, edge)) = path.last_mut() {
            let Some(to) = need(self.kind(*id), *edge) else {
                resolved[(id.0 - first) as usize] = true;
                path.pop();
                continue;
            };
            *edge += 1;
            let to = match self.kind(*id) {
                Kind::Ptr(_) | Kind::Var { .. } => self.behind(to, through, resolved),
                _ => to,
            };
            let own = to.0.checked_sub(first);
            let done = own.is_none_or(|own| resolved.get(own as usize).is_none_or(|done| *done));
            if done || through.stops_at(self.kind(to)) {
                continue;
            }
            if path.len() == MAX_RESOLVE_DEPTH {
                return Err(TooDeep { id: start });
            }
            // What contains itself was refused when the types were read.
            through = through.entering(self.kind(to));
            path.push((to, 0));
        }
        Ok(())
    }

    /// A modifier may have been resolved as far as a pointer, when something else needed it: then
    /// the pointer is what is needed.
    fn behind(&self, to: TypeId, through: Through, resolved: &[bool]) -> TypeId {
        let is_done = |id: TypeId| {
            let own = id.0.checked_sub(self.first_own());
            own.is_none_or(|own| resolved.get(own as usize).is_none_or(|done| *done))
        };
        if self.kind(to).modified().is_none() || !is_done(to) {
            return to;
        }
        let (end, ty) = self.resolve(to);
        match matches!(ty.kind, Kind::Ptr(_)) && !through.stops_at(&ty.kind) {
            true => end,
            false => to,
        }
    }
}

/// What is followed: a pointer needs other types than what lies in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Through {
    NotYet,
    Pointers,
    Values,
}

impl Through {
    fn entering(self, kind: &Kind) -> Through {
        match kind {
            _ if self != Through::NotYet => self,
            Kind::Ptr(_) => Through::Pointers,
            Kind::Struct { .. } | Kind::Union { .. } | Kind::Array { .. } => Through::Values,
            _ => Through::NotYet,
        }
    }

    /// Whether a type of this kind needs nothing more.
    fn stops_at(self, kind: &Kind) -> bool {
        let modifier = kind.modified().is_some();
        match self {
            Through::NotYet => !has_needs(kind),
            Through::Pointers => !modifier && !matches!(kind, Kind::Ptr(_)),
            Through::Values => {
                let holds = matches!(
                    kind,
                    Kind::Struct { .. } | Kind::Union { .. } | Kind::Array { .. }
                );
                !modifier && !holds
            }
        }
    }
}

fn has_needs(kind: &Kind) -> bool {
    need(kind, 0).is_some()
}

/// What a type needs, one after the other.
fn need(kind: &Kind, n: u32) -> Option<TypeId> {
    match kind {
        Kind::Struct { members, .. } | Kind::Union { members, .. } => {
            members.get(n as usize).map(|member| member.ty)
        }
        Kind::DataSec { vars, .. } => vars.get(n as usize).map(|var| var.ty),
        Kind::Array { element, index, .. } => [*index, *element].get(n as usize).copied(),
        Kind::Ptr(ty) | Kind::Var { ty, .. } | Kind::DeclTag { ty, .. } if n == 0 => Some(*ty),
        kind if n == 0 => kind.modified(),
        _ => None,
    }
}
