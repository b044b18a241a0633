//! Arrays of objects: `PROG_ARRAY`, `PERF_EVENT_ARRAY`, `CGROUP_ARRAY`, `ARRAY_OF_MAPS`, `XSKMAP`,
//! `SOCKMAP`, `REUSEPORT_SOCKARRAY`.
//!
//! User space stores descriptors and reads ids; the kernel resolves the descriptors and calls
//! [`ObjectArray::set`]. What programs find in an array of maps, the handles, stands in the cage, too,
//! where machine code reads them.

use std::{
    any::Any,
    ptr::{self, NonNull},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    },
};

use panal_uapi::{Errno, MapType, kernel::MapFlags, kernel::update};

use crate::{
    Block, Cpus, CreateError, DirectValues, Map, MapBase, MapDef, MapHost, Object, OnCpu, array,
    map::{in_element, index_key, next_index},
    socket_map,
};

/// Bytes of an object's address.
const ADDRESS: usize = 8;

/// An array of objects.
pub struct ObjectArray {
    base: MapBase,
    slots: Box<[AtomicPtr<Object>]>,
    /// Addresses of the objects, which programs may look up; 0 where there is none.
    addresses: Option<Block>,
    changes: Mutex<()>,
    cpus: Arc<Cpus>,
}

impl ObjectArray {
    /// Creates one (`fd_array_map_alloc_check`).
    pub fn new(host: &MapHost, def: &MapDef) -> Result<ObjectArray, CreateError> {
        match def.map_type {
            MapType::Sockmap | MapType::ReuseportSockarray => socket_map::check(def)?,
            _ => {
                array::check(def)?;
                if def.value_size != 4 {
                    return Err(CreateError::invalid(format!(
                        "value_size {} of an array of descriptors: it must be 4",
                        def.value_size
                    )));
                }
                if def
                    .flags
                    .intersects(MapFlags::RDONLY_PROG | MapFlags::WRONLY_PROG)
                {
                    return Err(CreateError::invalid(
                        "program access flags on an array of descriptors",
                    ));
                }
            }
        }
        let slots =
            crate::zeroed::zeroed(def.max_entries as usize).ok_or_else(CreateError::no_memory)?;
        let addresses = match def.map_type {
            MapType::ArrayOfMaps => Some(host.cage.allocate(ADDRESS * slots.len(), ADDRESS)?),
            _ => None,
        };
        Ok(ObjectArray {
            base: MapBase::new(def.clone()),
            slots,
            addresses,
            changes: Mutex::default(),
            cpus: host.cpus.clone(),
        })
    }

    /// The object at an index, for as long as this thread stays on its CPU.
    #[inline]
    pub fn get<'a>(&'a self, index: u32, _on: &'a OnCpu<'_>) -> Option<&'a Object> {
        // SAFETY: objects are retired, not dropped: they live until every CPU that could see them
        // was left. The token proves that the caller is on one.
        unsafe { self.get_unchecked(index) }
    }

    /// The object at an index.
    ///
    /// # Safety
    /// The calling thread is on a CPU of the map's host, and stays there while it uses the object.
    #[inline]
    pub unsafe fn get_unchecked(&self, index: u32) -> Option<&Object> {
        let slot = self.slots.get(index as usize)?;
        // SAFETY: null or an object that lives as the caller promised.
        unsafe { slot.load(Ordering::Acquire).as_ref() }
    }

    /// A copy of the object at an index, from any thread.
    pub fn fetch(&self, index: u32) -> Option<Object> {
        // Whoever removes the object takes the lock first: it cannot be retired before the copy.
        let _still = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: as just said.
        unsafe { self.get_unchecked(index) }.cloned()
    }

    /// `BPF_MAP_UPDATE_ELEM` with the object behind the descriptor.
    pub fn set(&self, key: &[u8], object: Object, flags: u64) -> Result<(), Errno> {
        if flags != update::BPF_ANY {
            return Err(Errno::EINVAL);
        }
        let index = index_key(key).ok_or(Errno::EINVAL)?;
        if index as usize >= self.slots.len() {
            return Err(Errno::E2BIG);
        }
        self.put(index, Some(Box::new(object)));
        Ok(())
    }

    /// Where the objects' addresses stand, if programs may look them up.
    pub fn addresses(&self) -> Option<DirectValues> {
        let addresses = self.addresses.as_ref()?;
        Some(DirectValues {
            first: addresses.address(),
            stride: ADDRESS as u32,
            count: self.slots.len() as u32,
            plane: 0,
            planes: 1,
        })
    }

    /// Puts an object (or nothing) at an index that there is; whether there was one before.
    fn put(&self, index: u32, new: Option<Box<Object>>) -> bool {
        let index = index as usize;
        let address = new.as_ref().map_or(0, |object| object.address);
        let new = new.map_or(ptr::null_mut(), Box::into_raw);
        let old = {
            let _change = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(addresses) = &self.addresses {
                // SAFETY: inside the block, which has a place for each slot, aligned.
                let place = unsafe {
                    AtomicU64::from_ptr(addresses.pointer().as_ptr().add(ADDRESS * index).cast())
                };
                place.store(address, Ordering::Release);
            }
            self.slots[index].swap(new, Ordering::AcqRel)
        };
        if old.is_null() {
            return false;
        }
        // SAFETY: it came from `Box::into_raw` in `set`, and the swap made it ours.
        self.cpus.retire(unsafe { Box::from_raw(old) });
        true
    }

    /// Removes every object: a prog array does so when user space lets go of it.
    pub fn clear(&self) {
        for (index, slot) in self.slots.iter().enumerate() {
            if !slot.load(Ordering::Relaxed).is_null() {
                self.put(index as u32, None);
            }
        }
    }
}

impl Map for ObjectArray {
    fn base(&self) -> &MapBase {
        &self.base
    }

    fn lookup(&self, key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        // SAFETY: programs look up on their CPU; the address alone is used after this.
        let object = unsafe { self.get_unchecked(index_key(key)?) }?;
        NonNull::new(object.address as *mut u8)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let index = index_key(key).ok_or(Errno::EINVAL)?;
        let (beyond, absent) = match self.base.def().map_type {
            MapType::Xskmap => (Errno::EINVAL, Ok(())),
            MapType::Sockmap => (Errno::EINVAL, Err(Errno::EINVAL)),
            _ => (Errno::E2BIG, Err(Errno::ENOENT)),
        };
        if index as usize >= self.slots.len() {
            return Err(beyond);
        }
        match self.put(index, None) {
            true => Ok(()),
            false => absent,
        }
    }

    fn user_lookup(&self, key: &[u8], out: &mut [u8]) -> Result<(), Errno> {
        match self.base.def().map_type {
            MapType::ProgArray | MapType::ArrayOfMaps => {}
            MapType::Xskmap => return Err(Errno::EOPNOTSUPP),
            MapType::Sockmap | MapType::ReuseportSockarray => {
                return Err(socket_map::absent(self.base.def()));
            }
            _ => return Err(Errno::ENOTSUPP),
        }
        let index = index_key(key).ok_or(Errno::EINVAL)?;
        let object = self.fetch(index).ok_or(Errno::ENOENT)?;
        out.get_mut(..4)
            .ok_or(Errno::EINVAL)?
            .copy_from_slice(&object.id.to_ne_bytes());
        Ok(())
    }

    fn user_update(&self, _key: &[u8], _value: &[u8], _flags: u64) -> Result<(), Errno> {
        // Only the kernel can resolve the descriptor: see `set`.
        Err(Errno::EBADF)
    }

    fn next_key(&self, key: Option<&[u8]>, out: &mut [u8]) -> Result<(), Errno> {
        next_index(key, self.base.def().max_entries, out)
    }

    /// Programs that look up maps read their addresses.
    fn holds(&self, address: u64, len: u64, write: bool) -> bool {
        !write
            && self.addresses().is_some_and(|a| {
                let (stride, count) = (u64::from(a.stride), u64::from(a.count));
                in_element(a.first, stride, count, stride, address, len)
            })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        self.slots.len() as u64 * 8
    }
}

impl Drop for ObjectArray {
    fn drop(&mut self) {
        for slot in &mut self.slots {
            let object = *slot.get_mut();
            if !object.is_null() {
                // SAFETY: from `Box::into_raw`; nobody else has the array any more. The object may
                // still be in use by a run that found it: it is retired.
                self.cpus.retire(unsafe { Box::from_raw(object) });
            }
        }
    }
}
