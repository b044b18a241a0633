//! Hashes of objects: `HASH_OF_MAPS`, `SOCKHASH`.
//!
//! User space stores descriptors and reads ids; the kernel resolves the descriptors and calls
//! [`ObjectHash::set`].

use std::{
    any::Any,
    collections::HashMap as StdHashMap,
    ptr::NonNull,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use panal_uapi::{Errno, MapType, kernel::MapFlags};

use crate::{
    CreateError, HashMap, Map, MapBase, MapDef, MapHost, Object, bytes, def::check_contradictions,
    hash_kind as kind,
};

/// A hash whose values are objects: inner maps, sockets.
pub struct ObjectHash {
    base: MapBase,
    /// Values are handles.
    index: HashMap,
    owners: Mutex<StdHashMap<Box<[u8]>, Object>>,
    host: MapHost,
}

impl ObjectHash {
    /// Creates one.
    pub fn new(host: &MapHost, def: &MapDef) -> Result<ObjectHash, CreateError> {
        match def.map_type {
            MapType::Sockhash => crate::socket_map::check(def)?,
            _ if def.value_size != 4 => {
                return Err(CreateError::invalid(
                    "value_size of a map of maps must be 4",
                ));
            }
            _ => {}
        }
        check_contradictions(def)?;
        let handles = MapDef {
            map_type: MapType::Hash,
            value_size: 8,
            // Access by user space is checked on the outer map.
            flags: def.flags.difference(MapFlags::RDONLY | MapFlags::WRONLY),
            ..def.clone()
        };
        Ok(ObjectHash {
            base: MapBase::new(def.clone()),
            index: HashMap::new(host, &handles)?,
            owners: Mutex::default(),
            host: host.clone(),
        })
    }

    fn owners(&self) -> std::sync::MutexGuard<'_, StdHashMap<Box<[u8]>, Object>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `BPF_MAP_UPDATE_ELEM` with the object behind the descriptor.
    pub fn set(&self, key: &[u8], object: Object, flags: u64) -> Result<(), Errno> {
        let mut owners = self.owners();
        self.index
            .update(key, &object.address.to_ne_bytes(), flags, 0)?;
        let old = owners.insert(key.into(), object);
        drop(owners);
        if let Some(old) = old {
            self.host.cpus.retire(Box::new(old));
        }
        Ok(())
    }

    /// [`Map::lookup`], compiled for a size of keys: the object's address, 0 where there is none.
    ///
    /// # Safety
    /// Keys have `KEY` bytes; `cpu` is one of the map's host.
    #[inline(always)]
    pub unsafe fn address_of<const KEY: usize>(&self, key: &[u8; KEY], cpu: u32) -> u64 {
        // SAFETY: the caller's promise; the index is a plain hash.
        let at = unsafe { self.index.value_of::<KEY, { kind::PLAIN }>(key, cpu) };
        // SAFETY: values of the index have eight bytes, aligned.
        at.map_or(0, |at| unsafe {
            AtomicU64::from_ptr(at.as_ptr().cast()).load(Ordering::Relaxed)
        })
    }

    /// A copy of the object of a key.
    pub fn fetch(&self, key: &[u8]) -> Option<Object> {
        self.owners().get(key).cloned()
    }
}

impl Map for ObjectHash {
    fn base(&self) -> &MapBase {
        &self.base
    }

    fn lookup(&self, key: &[u8], cpu: u32) -> Option<NonNull<u8>> {
        let at = self.index.lookup(key, cpu)?;
        let mut handle = [0; 8];
        // SAFETY: values of the index have eight bytes.
        unsafe { bytes::read(at, &mut handle) };
        NonNull::new(u64::from_ne_bytes(handle) as *mut u8)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let mut owners = self.owners();
        self.index.delete(key)?;
        let old = owners.remove(key);
        drop(owners);
        if let Some(old) = old {
            self.host.cpus.retire(Box::new(old));
        }
        Ok(())
    }

    fn user_lookup(&self, key: &[u8], out: &mut [u8]) -> Result<(), Errno> {
        let def = self.base.def();
        if def.map_type == MapType::Sockhash {
            return Err(crate::socket_map::absent(def));
        }
        let id = self.owners().get(key).ok_or(Errno::ENOENT)?.id;
        out.get_mut(..4)
            .ok_or(Errno::EINVAL)?
            .copy_from_slice(&id.to_ne_bytes());
        Ok(())
    }

    fn user_update(&self, _key: &[u8], _value: &[u8], _flags: u64) -> Result<(), Errno> {
        // Only the kernel can resolve the descriptor: see `set`.
        Err(Errno::EBADF)
    }

    fn next_key(&self, key: Option<&[u8]>, out: &mut [u8]) -> Result<(), Errno> {
        self.index.next_key(key, out)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        self.index.memory()
    }
}

impl Drop for ObjectHash {
    fn drop(&mut self) {
        let owners = std::mem::take(&mut *self.owners());
        self.host.cpus.retire(Box::new(owners));
    }
}
