//! The string section being written: every string once.

use alloc::{sync::Arc, vec, vec::Vec};

use hashbrown::{DefaultHashBuilder, HashTable};

use core::hash::BuildHasher;

use crate::table::{Btf, string_at};

/// Strings and where each stands.
#[derive(Clone)]
pub(crate) struct Strings {
    base: Option<Arc<Btf>>,
    first_own: u32,
    bytes: Vec<u8>,
    hasher: DefaultHashBuilder,
    /// Offsets of strings, those of the base included.
    offsets: HashTable<u32>,
}

impl Strings {
    /// The empty string only, or nothing over a base.
    pub(crate) fn new(base: Option<Arc<Btf>>) -> Strings {
        let own: &[u8] = if base.is_some() { &[] } else { &[0] };
        Strings::with(base, own)
    }

    /// Goes on with strings that exist: their offsets stay.
    pub(crate) fn with(base: Option<Arc<Btf>>, own: &[u8]) -> Strings {
        let mut strings = Strings {
            first_own: base.as_ref().map_or(0, |base| base.end_of_strings()),
            base,
            bytes: own.to_vec(),
            hasher: DefaultHashBuilder::default(),
            offsets: HashTable::new(),
        };
        let mut bases = vec![];
        let mut next = strings.base.clone();
        while let Some(base) = next {
            next = base.base().cloned();
            bases.push(base);
        }
        for base in bases.iter().rev() {
            strings.index(base.own_strings(), base.first_own_string());
        }
        strings.index(own, strings.first_own);
        strings
    }

    fn index(&mut self, section: &[u8], first: u32) {
        let mut offset = first;
        for string in section.split_inclusive(|&b| b == 0) {
            if let [string @ .., 0] = string {
                self.note(string, offset);
            }
            offset = offset.saturating_add(string.len() as u32);
        }
    }

    /// Records where a string stands, unless it stands somewhere already.
    fn note(&mut self, string: &[u8], offset: u32) {
        let (bytes, first, base) = (&self.bytes, self.first_own, &self.base);
        let at = |offset: u32| at(bytes, first, base, offset);
        let hash = self.hasher.hash_one(string);
        let entry = self.offsets.entry(
            hash,
            |&other| at(other) == string,
            |&other| self.hasher.hash_one(at(other)),
        );
        entry.or_insert(offset);
    }

    /// The offset of a string, which is added if it is new. A NUL ends it: what follows is dropped.
    pub(crate) fn add(&mut self, string: &str) -> u32 {
        let string = string.as_bytes();
        let string = string.split(|&b| b == 0).next().unwrap_or(string);
        if string.is_empty() {
            return 0;
        }
        let hash = self.hasher.hash_one(string);
        let same = |&other: &u32| at(&self.bytes, self.first_own, &self.base, other) == string;
        if let Some(&offset) = self.offsets.find(hash, same) {
            return offset;
        }
        let offset = self.first_own.saturating_add(self.bytes.len() as u32);
        self.bytes.extend_from_slice(string);
        self.bytes.push(0);
        self.note(string, offset);
        offset
    }

    /// The section.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn at<'a>(bytes: &'a [u8], first_own: u32, base: &'a Option<Arc<Btf>>, offset: u32) -> &'a [u8] {
    let string = match offset.checked_sub(first_own) {
        Some(own) => string_at(bytes, own),
        None => base.as_ref().and_then(|base| base.string_bytes(offset)),
    };
    string.unwrap_or_default()
}
