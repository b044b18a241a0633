//! Maps of maps: which inner maps fit, and `BPF_MAP_TYPE_HASH_OF_MAPS`.

use std::{
    any::Any,
    collections::HashMap as StdHashMap,
    ptr::NonNull,
    sync::{Arc, Mutex, PoisonError},
};

use panal_uapi::{Errno, MapType, kernel::MapFlags};

use crate::{CreateError, HashMap, Map, MapBase, MapDef, MapHost, Object, bytes};

/// Refuses templates that no map of maps may have (`bpf_map_meta_alloc`).
pub(crate) fn check_template(inner: Option<&MapDef>) -> Result<(), CreateError> {
    let Some(inner) = inner else {
        return Err(CreateError::new(
            Errno::EBADF,
            "a map of maps needs an inner map as template",
        ));
    };
    match inner.map_type {
        MapType::ArrayOfMaps | MapType::HashOfMaps => {
            Err(CreateError::invalid("maps of maps do not nest further"))
        }
        MapType::ProgArray
        | MapType::CgroupStorage
        | MapType::PercpuCgroupStorage
        | MapType::StructOps => Err(CreateError::new(
            Errno::ENOTSUPP,
            format!("a map of type {} cannot be an inner map", inner.map_type),
        )),
        _ => Ok(()),
    }
}

/// Whether a map fits where the template was given (`bpf_map_meta_equal`).
pub fn fits_template(template: &MapDef, map: &MapDef) -> bool {
    let sized =
        template.map_type == MapType::Array && !template.flags.contains(MapFlags::INNER_MAP);
    template.map_type == map.map_type
        && template.key_size == map.key_size
        && template.value_size == map.value_size
        && template.flags == map.flags
        && template.fields == map.fields
        && (!sized || template.max_entries == map.max_entries)
}

/// A hash whose values are maps.
pub struct HashOfMaps {
    base: MapBase,
    /// Values are handles.
    index: HashMap,
    owners: Mutex<StdHashMap<Box<[u8]>, Object>>,
    host: MapHost,
}

impl HashOfMaps {
    /// Creates one.
    pub fn new(host: &MapHost, def: &MapDef) -> Result<HashOfMaps, CreateError> {
        if def.value_size != 4 {
            return Err(CreateError::invalid(
                "value_size of a map of maps must be 4",
            ));
        }
        let handles = MapDef {
            map_type: MapType::Hash,
            value_size: 8,
            ..def.clone()
        };
        Ok(HashOfMaps {
            base: MapBase::new(def.clone()),
            index: HashMap::new(host, &handles)?,
            owners: Mutex::default(),
            host: host.clone(),
        })
    }

    fn owners(&self) -> std::sync::MutexGuard<'_, StdHashMap<Box<[u8]>, Object>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `BPF_MAP_UPDATE_ELEM` with the map behind the descriptor.
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

    /// A copy of the object of a key.
    pub fn fetch(&self, key: &[u8]) -> Option<Object> {
        self.owners().get(key).cloned()
    }
}

impl Map for HashOfMaps {
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

impl Drop for HashOfMaps {
    fn drop(&mut self) {
        let owners = std::mem::take(&mut *self.owners());
        let cpus: &Arc<_> = &self.host.cpus;
        cpus.retire(Box::new(owners));
    }
}
