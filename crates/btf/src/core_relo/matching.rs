//! Finds a way through one BTF again in another.

use super::{
    CoreFault, CoreKind, Subject, compat,
    spec::{Accessor, MAX_LENGTH, Spec},
};
use crate::{
    index::essential_name,
    table::Btf,
    types::{Kind, Member, TypeId},
};

/// Whether a candidate has what is looked for.
pub(super) enum Match<'a> {
    Yes(Spec<'a>),
    No,
}

impl<'l> Spec<'l> {
    /// The same way from `id` of another BTF.
    pub fn find_in<'t>(&self, btf: &'t Btf, id: TypeId) -> Result<Match<'t>, CoreFault> {
        let spec = Spec::root(btf, self.kind, id);
        match self.kind.subject() {
            Subject::Type => {
                let same = match self.kind {
                    CoreKind::TypeMatches => compat::types_match(self.btf, self.root, btf, id)?,
                    _ => compat::types_compatible(self.btf, self.root, btf, id)?,
                };
                Ok(if same { Match::Yes(spec) } else { Match::No })
            }
            Subject::Enumerator => Ok(self.find_enumerator(spec)),
            Subject::Field => self.find_field(spec),
        }
    }

    fn find_enumerator<'t>(&self, mut spec: Spec<'t>) -> Match<'t> {
        let (ty, resolved) = spec.btf.resolve(spec.root);
        let Kind::Enum { values, .. } = &resolved.kind else {
            return Match::No;
        };
        let wanted = self
            .accessors
            .first()
            .and_then(|a| a.name)
            .map_or("", essential_name);
        let found = values
            .iter()
            .position(|value| essential_name(&value.name) == wanted);
        match found {
            None => Match::No,
            Some(index) => {
                let (name, index) = (Some(&*values[index].name), index as u32);
                spec.accessors.push(Accessor { ty, index, name });
                spec.raw.push(index);
                Match::Yes(spec)
            }
        }
    }

    fn find_field<'t>(&self, mut spec: Spec<'t>) -> Result<Match<'t>, CoreFault> {
        let mut id = spec.root;
        for (i, accessor) in self.accessors.iter().enumerate() {
            let (ty, resolved) = spec.btf.resolve(id);
            id = ty;
            if let Some(name) = accessor.name {
                let members = self.btf.kind(accessor.ty).members().unwrap_or(&[]);
                let Some(local) = members.get(accessor.index as usize) else {
                    return Ok(Match::No);
                };
                let wanted = Wanted {
                    btf: self.btf,
                    name,
                    member: local,
                };
                match find_member(&wanted, &mut spec, id, &mut 0)? {
                    Found::Here(ty) => id = ty,
                    Found::Nowhere | Found::Incompatible => return Ok(Match::No),
                }
                continue;
            }
            // The first step is into the array that the pointer leads to.
            if i > 0 {
                let Kind::Array { element, len, .. } = resolved.kind else {
                    return Ok(Match::No);
                };
                if accessor.index >= len && !spec.is_flexible(len) {
                    return Ok(Match::No);
                }
                id = spec.btf.resolve(element).0;
            }
            if spec.raw.len() == MAX_LENGTH {
                return Err(CoreFault::TooComplex);
            }
            spec.raw.push(accessor.index);
            spec.element(id, accessor.index)?;
        }
        Ok(Match::Yes(spec))
    }
}

struct Wanted<'l> {
    btf: &'l Btf,
    name: &'l str,
    member: &'l Member,
}

enum Found {
    /// And this is its type.
    Here(TypeId),
    /// There is one of this name, but of another sort.
    Incompatible,
    Nowhere,
}

/// Members looked at in one search; see [`Btf::member`].
const MAX_MEMBERS: usize = 1 << 18;

/// Searches a struct or union, and the members without a name within it.
fn find_member<'t>(
    wanted: &Wanted,
    spec: &mut Spec<'t>,
    id: TypeId,
    seen: &mut usize,
) -> Result<Found, CoreFault> {
    let btf: &'t Btf = spec.btf;
    let (ty, resolved) = btf.resolve(id);
    let Some(members) = resolved.kind.members() else {
        return Ok(Found::Nowhere);
    };
    for (index, member) in members.iter().enumerate() {
        *seen += 1;
        if spec.raw.len() == MAX_LENGTH || *seen > MAX_MEMBERS {
            return Err(CoreFault::TooComplex);
        }
        if !member.name.is_empty() && *member.name != *wanted.name {
            continue;
        }
        let before = spec.bit_offset;
        spec.bit_offset += u64::from(member.bit_offset);
        spec.raw.push(index as u32);
        if member.name.is_empty() {
            match find_member(wanted, spec, member.ty, seen)? {
                Found::Nowhere => {}
                found => return Ok(found),
            }
        } else if compat::fields_compatible(wanted.btf, wanted.member.ty, btf, member.ty) {
            let accessor = Accessor {
                ty,
                index: index as u32,
                name: Some(&member.name),
            };
            spec.accessors.push(accessor);
            return Ok(Found::Here(member.ty));
        } else {
            return Ok(Found::Incompatible);
        }
        spec.bit_offset = before;
        spec.raw.pop();
    }
    Ok(Found::Nowhere)
}
