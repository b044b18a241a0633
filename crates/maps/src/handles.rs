//! Handles: what a program holds in a register when it holds a map.
//!
//! A handle is the address of a header in the cage that shows the map as `struct bpf_map` does to
//! programs that look inside. Helpers never believe the header: a handle leads to its map by its
//! address alone, and any other number leads nowhere.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicPtr, Ordering},
};

use crate::{Block, Cpus, DirectValues, HashMap, Map, MapHost, OutOfCage, bytes, zeroed::zeroed};

/// What a handle leads to.
struct Entry {
    map: Arc<dyn Map>,
    /// Where lookups need nothing but an index.
    direct: Option<DirectValues>,
    /// The map itself where it is a hash; null otherwise.
    hash: *const HashMap,
}

// SAFETY: the pointer leads to the entry's own map, which all threads may use.
unsafe impl Send for Entry {}
// SAFETY: likewise.
unsafe impl Sync for Entry {}

/// All maps of a kernel, by handle.
pub struct Handles {
    headers: Block,
    base: u64,
    entries: Box<[AtomicPtr<Entry>]>,
    free: Mutex<Vec<u32>>,
    cpus: Arc<Cpus>,
}

impl Handles {
    /// Bytes of a header.
    pub const HEADER: usize = 512;

    /// Room for so many maps at once.
    pub fn new(host: &MapHost, capacity: u32) -> Result<Handles, OutOfCage> {
        let len = capacity as usize * Self::HEADER;
        let headers = host.cage.allocate(len, 64)?;
        let base = headers.address();
        Ok(Handles {
            headers,
            base,
            entries: zeroed(capacity as usize).ok_or(OutOfCage(len))?,
            free: Mutex::new((0..capacity).rev().collect()),
            cpus: host.cpus.clone(),
        })
    }

    /// Gives a map a handle; `header` is what programs see there, cut to [`Handles::HEADER`] bytes.
    pub fn insert(&self, map: Arc<dyn Map>, header: &[u8]) -> Option<u64> {
        let index = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()?;
        let offset = index as usize * Self::HEADER;
        let header = &header[..header.len().min(Self::HEADER)];
        // SAFETY: the header of this index lies in the block.
        unsafe {
            let at = self.headers.pointer().add(offset);
            bytes::zero(at, Self::HEADER);
            bytes::write(at, header);
        }
        let hash = map.as_any().downcast_ref::<HashMap>();
        let entry = Box::into_raw(Box::new(Entry {
            direct: map.direct_values(),
            hash: hash.map_or(std::ptr::null(), std::ptr::from_ref),
            map,
        }));
        self.entries[index as usize].store(entry, Ordering::Release);
        Some(self.base + offset as u64)
    }

    #[inline(always)]
    fn index(&self, handle: u64) -> Option<usize> {
        let offset = handle.wrapping_sub(self.base);
        let index = usize::try_from(offset / Self::HEADER as u64).ok()?;
        (offset.is_multiple_of(Self::HEADER as u64) && index < self.entries.len()).then_some(index)
    }

    /// The map of a handle.
    ///
    /// # Safety
    /// The calling thread is on a CPU of the host ([`Cpus::enter`]) and stays there while it uses
    /// the map, or holds the map by other means.
    #[inline]
    pub unsafe fn get(&self, handle: u64) -> Option<&dyn Map> {
        // SAFETY: the caller's promise.
        unsafe { self.entry(handle) }.map(|entry| &*entry.map)
    }

    /// Where the values of a handle's map are, where a lookup is nothing but an index.
    ///
    /// # Safety
    /// As for [`Handles::get`].
    #[inline(always)]
    pub unsafe fn direct(&self, handle: u64) -> Option<&DirectValues> {
        // SAFETY: the caller's promise.
        unsafe { self.entry(handle) }?.direct.as_ref()
    }

    /// The hash map of a handle.
    ///
    /// # Safety
    /// As for [`Handles::get`].
    #[inline(always)]
    pub unsafe fn hash(&self, handle: u64) -> Option<&HashMap> {
        // SAFETY: the caller's promise; it is the entry's own map, which lives as long.
        unsafe { self.entry(handle)?.hash.as_ref() }
    }

    /// # Safety
    /// As for [`Handles::get`].
    #[inline(always)]
    unsafe fn entry(&self, handle: u64) -> Option<&Entry> {
        let entry = self.entries[self.index(handle)?].load(Ordering::Acquire);
        // SAFETY: null or an entry that is retired, not dropped, when its map goes.
        unsafe { entry.as_ref() }
    }

    /// Whether a read of `len` bytes lies in one header.
    pub fn holds(&self, address: u64, len: u64) -> bool {
        let offset = address.wrapping_sub(self.base);
        let end = (offset % Self::HEADER as u64).checked_add(len);
        offset < self.headers.len() as u64 && end.is_some_and(|end| end <= Self::HEADER as u64)
    }

    /// The map of a handle, from any thread.
    pub fn fetch(&self, handle: u64) -> Option<Arc<dyn Map>> {
        // Whoever removes the map takes the lock first: it cannot be retired before the copy.
        let _still = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = self.entries[self.index(handle)?].load(Ordering::Acquire);
        // SAFETY: as just said.
        unsafe { entry.as_ref() }.map(|entry| entry.map.clone())
    }

    /// Takes a handle back; the map dies when its last reader has gone. The handle is given out
    /// again later.
    pub fn remove(&self, handle: u64) -> bool {
        let Some(index) = self.index(handle) else {
            return false;
        };
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = self.entries[index].swap(std::ptr::null_mut(), Ordering::AcqRel);
        if entry.is_null() {
            return false;
        }
        free.insert(0, index as u32);
        drop(free);
        // SAFETY: from `Box::into_raw`, and the swap made it ours.
        self.cpus.retire(unsafe { Box::from_raw(entry) });
        true
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        for entry in &mut self.entries {
            let entry = *entry.get_mut();
            if !entry.is_null() {
                // SAFETY: from `Box::into_raw`; nobody else has the table any more.
                drop(unsafe { Box::from_raw(entry) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cage, MapDef, create_map};
    use panal_uapi::MapType;

    #[test]
    fn only_handles_lead_to_maps() {
        let host = MapHost::new(Cage::new(1 << 24).unwrap(), Arc::new(Cpus::new(1)));
        let handles = Handles::new(&host, 16).unwrap();
        let map = create_map(&host, &MapDef::new(MapType::Array, 4, 8, 3), None).unwrap();
        let handle = handles.insert(map, &[1, 2, 3]).unwrap();
        let on = host.cpus.enter(0);
        // SAFETY: on a CPU.
        unsafe {
            assert_eq!(handles.get(handle).unwrap().base().def().max_entries, 3);
            for bad in [
                0,
                1,
                handle + 8,
                handle - 1,
                handle + 512,
                handle - 512,
                u64::MAX,
            ] {
                assert!(handles.get(bad).is_none());
            }
        }
        drop(on);
        assert!(handles.remove(handle) && !handles.remove(handle));
        assert!(handles.fetch(handle).is_none());
    }
}
