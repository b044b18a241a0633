//! A BTF as a whole: types by number and by name.

use alloc::{sync::Arc, vec::Vec};

use crate::types::{Type, TypeId};

/// Types of an object or a kernel.
#[derive(Clone, Debug, Default)]
pub struct Btf {
    base: Option<Arc<Btf>>,
    types: Vec<Type>,
}

impl Btf {
    /// The type of this number; `None` out of range.
    pub fn get(&self, id: TypeId) -> Option<&Type> {
        let start = self.base.as_ref().map_or(0, |b| b.len());
        match (id.0 as usize).checked_sub(start) {
            Some(own) => self.types.get(own),
            None => self.base.as_ref()?.get(id),
        }
    }

    /// How many types there are, `void` and those of the base included.
    pub fn len(&self) -> usize {
        self.base.as_ref().map_or(0, |b| b.len()) + self.types.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
