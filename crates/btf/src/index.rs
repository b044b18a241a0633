//! Types by name.

use alloc::{sync::Arc, vec, vec::Vec};
use core::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable, hash_table};

use crate::{
    table::Btf,
    types::{KindTag, Type, TypeId},
};

/// The named types of one BTF (without its base), as indices into its own types.
///
/// Types of the same name are chained, so that a BTF which repeats one name does not slow down.
#[derive(Clone, Default)]
pub(crate) struct NameIndex {
    hasher: DefaultHashBuilder,
    /// The first type of each name.
    first: HashTable<u32>,
    /// For each type the next one of its name, or [`END`].
    next: Vec<u32>,
}

const END: u32 = u32::MAX;

impl NameIndex {
    pub(crate) fn new(types: &[Type]) -> NameIndex {
        let hasher = DefaultHashBuilder::default();
        let mut first: HashTable<u32> = HashTable::new();
        let mut next = vec![END; types.len()];
        // Backwards, so that chains are in ascending order.
        for (index, ty) in types.iter().enumerate().rev() {
            if ty.name.is_empty() {
                continue;
            }
            let same = |&other: &u32| {
                let other = &types[other as usize].name;
                Arc::ptr_eq(other, &ty.name) || **other == *ty.name
            };
            let hash = |&other: &u32| hasher.hash_one(&*types[other as usize].name);
            match first.entry(hasher.hash_one(&*ty.name), same, hash) {
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

    /// The types of this name among those that the index was made of, in ascending order.
    fn all<'a>(&'a self, types: &'a [Type], name: &str) -> impl Iterator<Item = u32> + use<'a> {
        let hash = self.hasher.hash_one(name);
        let first = self
            .first
            .find(hash, |&index| *types[index as usize].name == *name);
        core::iter::successors(first.copied(), |&index| {
            self.next
                .get(index as usize)
                .copied()
                .filter(|&next| next != END)
        })
    }
}

impl Btf {
    /// The types of this name in ascending order, those of the base first. An empty name finds
    /// nothing.
    pub fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = (TypeId, &'a Type)> + use<'a> {
        let base = self.base().map(|base| base.own_named(name));
        base.into_iter().flatten().chain(self.own_named(name))
    }

    /// As [`Btf::named`], without the base. (A base has no base itself.)
    fn own_named<'a>(&'a self, name: &str) -> impl Iterator<Item = (TypeId, &'a Type)> + use<'a> {
        let own = self.own();
        self.own_index()
            .all(own, name)
            .map(move |index| (TypeId(self.first_own() + index), &own[index as usize]))
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
