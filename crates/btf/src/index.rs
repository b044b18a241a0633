//! Types by name.

use alloc::{vec, vec::Vec};
use core::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable, hash_table};

use crate::{
    table::Btf,
    types::{KindTag, Type, TypeId},
};

/// The named types of one BTF (without its base), as indices into its own types.
///
/// Types whose names differ by flavour only are chained in ascending order.
#[derive(Clone, Default)]
pub(crate) struct NameIndex {
    hasher: DefaultHashBuilder,
    /// The first type of each essential name.
    first: HashTable<u32>,
    /// For each type the next one of its chain, or [`END`].
    next: Vec<u32>,
}

const END: u32 = u32::MAX;

impl NameIndex {
    pub(crate) fn new(types: &[Type]) -> NameIndex {
        let hasher = DefaultHashBuilder::default();
        let named = types.iter().filter(|ty| !ty.name.is_empty()).count();
        let mut first: HashTable<u32> = HashTable::with_capacity(named);
        let mut next = vec![END; types.len()];
        // Backwards, so that chains are in ascending order.
        for (index, ty) in types.iter().enumerate().rev() {
            if ty.name.is_empty() {
                continue;
            }
            let name = essential_name(&ty.name);
            let essential = |&other: &u32| essential_name(&types[other as usize].name);
            let same = |other: &u32| essential(other) == name;
            let hash = |other: &u32| hasher.hash_one(essential(other));
            match first.entry(hasher.hash_one(name), same, hash) {
                hash_table::Entry::Occupied(mut entry) => {
                    next[index] = core::mem::replace(entry.get_mut(), index as u32);
                }
                hash_table::Entry::Vacant(entry) => {
                    entry.insert(index as u32);
                }
            }
        }
        NameIndex {
            hasher,
            first,
            next,
        }
    }

    /// The types of this essential name among those that the index was made of, in ascending
    /// order.
    fn all<'a>(&'a self, types: &'a [Type], name: &str) -> impl Iterator<Item = u32> + use<'a> {
        let hash = self.hasher.hash_one(name);
        let same = |&index: &u32| essential_name(&types[index as usize].name) == name;
        let first = self.first.find(hash, same);
        core::iter::successors(first.copied(), |&index| {
            self.next
                .get(index as usize)
                .copied()
                .filter(|&next| next != END)
        })
    }
}

/// A name without its flavour: `task_struct` of `task_struct___old`. A flavour begins at the last
/// three underscores that stand alone between other characters.
pub fn essential_name(name: &str) -> &str {
    let bytes = name.as_bytes();
    // Most names have no flavour: of three underscores in a row one is at every third place.
    if !bytes.iter().skip(2).step_by(3).any(|&b| b == b'_') {
        return name;
    }
    let mut end = bytes.len();
    while let Some(at) = bytes[..end].iter().rposition(|&b| b == b'_') {
        let start = bytes[..at]
            .iter()
            .rposition(|&b| b != b'_')
            .map_or(0, |i| i + 1);
        if at + 1 - start == 3 && start > 0 && at + 1 < bytes.len() {
            return &name[..start];
        }
        end = start;
    }
    name
}

impl Btf {
    /// The types of this name in ascending order, those of the base first. An empty name finds
    /// nothing.
    pub fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = (TypeId, &'a Type)> + use<'a> {
        let same = self.own_named(name);
        let base = self.base().map(|base| base.own_named(name));
        base.into_iter().flatten().chain(same)
    }

    /// The types of this essential name, whatever their flavour, in ascending order.
    pub(crate) fn flavours<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = (TypeId, &'a Type)> + use<'a> {
        let base = self.base().map(|base| base.own_flavours(name));
        base.into_iter().flatten().chain(self.own_flavours(name))
    }

    /// As [`Btf::flavours`], without the base. (A base has no base itself.)
    fn own_flavours<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = (TypeId, &'a Type)> + use<'a> {
        let own = self.own();
        self.own_index()
            .all(own, name)
            .map(move |index| (TypeId(self.first_own() + index), &own[index as usize]))
    }

    fn own_named<'a>(&'a self, name: &str) -> impl Iterator<Item = (TypeId, &'a Type)> + use<'a> {
        // The first of the name, or none: the others are compared with it.
        let mut all = self.own_flavours(essential_name(name));
        let first = all.find(|(_, ty)| *ty.name == *name);
        let wanted = first.map(|(_, ty)| ty.name.clone());
        let others = all.filter(move |(_, ty)| wanted.as_deref() == Some(&*ty.name));
        first.into_iter().chain(others)
    }

    /// The first type of this name and kind; [`KindTag::Enum`] finds 64-bit enumerations too.
    pub fn find(&self, name: &str, kind: KindTag) -> Option<TypeId> {
        let wanted = |ty: &Type| match (ty.kind.tag(), kind) {
            (KindTag::Enum64, KindTag::Enum) => true,
            (tag, kind) => tag == kind,
        };
        self.named(name)
            .find(|(_, ty)| wanted(ty))
            .map(|(id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::essential_name;

    #[test]
    fn flavours_are_cut_as_by_libbpf() {
        for (name, essential) in [
            ("task_struct", "task_struct"),
            ("task_struct___old", "task_struct"),
            ("a___b___c", "a___b"),
            ("a____b", "a____b"),
            ("___b", "___b"),
            ("a___", "a___"),
            ("a__b___c_d", "a__b"),
            ("a___b____c", "a"),
            ("", ""),
            ("____", "____"),
        ] {
            assert_eq!(essential_name(name), essential, "{name}");
        }
    }
}
