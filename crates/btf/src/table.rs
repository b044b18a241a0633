//! A BTF as a whole: its types by number, its strings by offset.

use alloc::{borrow::Cow, string::String, sync::Arc, vec, vec::Vec};

use crate::{
    index::NameIndex,
    types::{Kind, Type, TypeId},
};

/// Types of an object or a kernel, checked: references are in range, no type contains itself.
///
/// A split BTF (`parse_split`) sees the types of its base under their own numbers.
#[derive(Clone)]
pub struct Btf {
    base: Option<Arc<Btf>>,
    first_own: u32,
    own: Vec<Type>,
    aligns: Vec<u8>,
    first_own_string: u32,
    own_strings: Arc<[u8]>,
    index: NameIndex,
}

impl Default for Btf {
    fn default() -> Self {
        Btf::over(None, &[0])
    }
}

impl core::fmt::Debug for Btf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Btf")
            .field("types", &self.len())
            .field("base", &self.base)
            .finish()
    }
}

impl Btf {
    /// No types yet: only `void`, or those of the base.
    pub(crate) fn over(base: Option<Arc<Btf>>, own_strings: &[u8]) -> Btf {
        let void = Type {
            name: Arc::from(""),
            kind: Kind::Void,
        };
        Btf {
            first_own: base.as_ref().map_or(0, |b| b.len() as u32),
            first_own_string: base.as_ref().map_or(0, |b| b.end_of_strings()),
            own: if base.is_some() {
                Vec::new()
            } else {
                vec![void]
            },
            aligns: if base.is_some() { Vec::new() } else { vec![0] },
            own_strings: Arc::from(own_strings),
            index: NameIndex::default(),
            base,
        }
    }

    /// Adds types that are yet to be checked.
    pub(crate) fn append(&mut self, types: Vec<Type>) {
        if self.own.is_empty() {
            self.own = types;
        } else {
            self.own.extend(types);
        }
        self.index = NameIndex::new(&self.own);
    }

    /// The type of this number; `None` out of range.
    pub fn get(&self, id: TypeId) -> Option<&Type> {
        match id.0.checked_sub(self.first_own) {
            Some(own) => self.own.get(own as usize),
            None => self.base.as_ref()?.get(id),
        }
    }

    /// What the type of this number is; [`Kind::Void`] out of range.
    pub fn kind(&self, id: TypeId) -> &Kind {
        self.get(id).map_or(&Kind::Void, |ty| &ty.kind)
    }

    /// The name of the type of this number; empty when it has none or is out of range.
    pub fn name(&self, id: TypeId) -> &str {
        self.get(id).map_or("", |ty| &ty.name)
    }

    /// Adds the alignments of types that were added.
    pub(crate) fn append_aligns(&mut self, aligns: &[u8]) {
        self.aligns.extend_from_slice(aligns);
    }

    /// Alignment in bytes, 0 for what has none.
    pub(crate) fn own_align(&self, id: TypeId) -> u8 {
        match (id.0.checked_sub(self.first_own), &self.base) {
            (Some(own), _) => self.aligns.get(own as usize).copied().unwrap_or(0),
            (None, Some(base)) => base.own_align(id),
            (None, None) => 0,
        }
    }

    pub(crate) fn void(&self) -> &Type {
        match &self.base {
            Some(base) => base.void(),
            // A BTF without a base is made with `void` in it.
            None => &self.own[0],
        }
    }

    /// How many types there are, `void` and those of the base included: numbers below are valid.
    pub fn len(&self) -> usize {
        self.first_own as usize + self.own.len()
    }

    /// Whether there is no type but `void`.
    pub fn is_empty(&self) -> bool {
        self.len() <= 1
    }

    /// The BTF that this one continues.
    pub fn base(&self) -> Option<&Arc<Btf>> {
        self.base.as_ref()
    }

    /// All types with their numbers, from `void` on, those of the base first.
    pub fn iter(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        (0..self.len() as u32).filter_map(|id| Some((TypeId(id), self.get(TypeId(id))?)))
    }

    /// The types that the base does not have, with their numbers.
    pub fn iter_own(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        (self.first_own..).map(TypeId).zip(&self.own)
    }

    /// The string at this offset of the string section, as `.BTF.ext` refers to names and source
    /// lines. What is not UTF-8 is replaced. `None` out of range.
    pub fn string(&self, offset: u32) -> Option<Cow<'_, str>> {
        self.string_bytes(offset).map(String::from_utf8_lossy)
    }

    pub(crate) fn string_bytes(&self, offset: u32) -> Option<&[u8]> {
        match offset.checked_sub(self.first_own_string) {
            Some(own) => string_at(&self.own_strings, own),
            None => self.base.as_ref()?.string_bytes(offset),
        }
    }

    pub(crate) fn first_own(&self) -> u32 {
        self.first_own
    }

    pub(crate) fn own(&self) -> &[Type] {
        &self.own
    }

    pub(crate) fn first_own_string(&self) -> u32 {
        self.first_own_string
    }

    pub(crate) fn own_strings(&self) -> &Arc<[u8]> {
        &self.own_strings
    }

    pub(crate) fn end_of_strings(&self) -> u32 {
        self.first_own_string
            .saturating_add(self.own_strings.len() as u32)
    }

    pub(crate) fn own_index(&self) -> &NameIndex {
        &self.index
    }
}

/// The string of a string section that begins at `offset`.
pub(crate) fn string_at(strings: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = strings.get(offset as usize..)?;
    let end = rest.iter().position(|&b| b == 0)?;
    Some(&rest[..end])
}
