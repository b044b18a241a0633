//! Ids: how objects are listed and found without a descriptor.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// Objects of one kind by id. An id does not keep its object alive.
pub(crate) struct Ids<T> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    last: u32,
    objects: BTreeMap<u32, Weak<T>>,
}

impl<T> Default for Ids<T> {
    fn default() -> Self {
        Ids {
            inner: Mutex::new(Inner {
                last: 0,
                objects: BTreeMap::new(),
            }),
        }
    }
}

impl<T> Ids<T> {
    /// Makes an object that knows its id. Ids grow, and are used again only after a wrap, as on
    /// Linux.
    pub(crate) fn publish(&self, make: impl FnOnce(u32) -> T) -> Arc<T> {
        let id = self.reserve();
        let object = Arc::new(make(id));
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.objects.insert(id, Arc::downgrade(&object));
        object
    }

    fn reserve(&self) -> u32 {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.objects.len() >= 64 && inner.last.is_multiple_of(64) {
            inner.objects.retain(|_, object| object.strong_count() > 0);
        }
        loop {
            inner.last = if inner.last >= i32::MAX as u32 {
                1
            } else {
                inner.last + 1
            };
            let id = inner.last;
            if inner.objects.get(&id).is_none_or(|o| o.strong_count() == 0) {
                return id;
            }
        }
    }

    /// The object of this id, if it still lives.
    pub(crate) fn get(&self, id: u32) -> Option<Arc<T>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.objects.get(&id)?.upgrade()
    }

    /// The smallest id above this one whose object lives.
    pub(crate) fn after(&self, id: u32) -> Option<u32> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut above = inner.objects.range(id.checked_add(1)?..);
        above
            .find(|(_, object)| object.strong_count() > 0)
            .map(|(id, _)| *id)
    }

    /// Every living object, by id.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.objects.values().filter_map(Weak::upgrade).collect()
    }
}
