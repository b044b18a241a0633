//! `BPF_MAP_TYPE_ARRAY` and `BPF_MAP_TYPE_PERCPU_ARRAY`: values side by side, all there from the
//! start.

use std::{any::Any, os::fd::BorrowedFd, ptr::NonNull};

use panal_uapi::{Errno, MapType, kernel::MapFlags, kernel::update};

use crate::{
    Block, CreateError, DirectValues, ElementKey, Map, MapBase, MapDef, MapHost, bytes,
    def::{ACCESS_FLAGS, PERCPU_VALUE_MOST, check_flags, check_not_zero, update_flags},
    map::{copy_in_percpu, copy_out_percpu, in_element, index_key, next_index},
};

/// What every kind of array demands (`array_map_alloc_check`).
pub(crate) fn check(def: &MapDef) -> Result<(), CreateError> {
    let mut allowed = MapFlags::NUMA_NODE | ACCESS_FLAGS;
    match def.map_type {
        MapType::Array => allowed |= MapFlags::MMAPABLE | MapFlags::INNER_MAP,
        MapType::PercpuArray => allowed.remove(MapFlags::NUMA_NODE),
        MapType::PerfEventArray => allowed |= MapFlags::PRESERVE_ELEMS,
        _ => {}
    }
    check_not_zero(&[
        ("max_entries", def.max_entries),
        ("value_size", def.value_size),
    ])?;
    if def.key_size != 4 {
        return Err(CreateError::invalid(format!(
            "key_size {} of an array: it must be 4",
            def.key_size
        )));
    }
    check_flags(def, allowed)?;
    if def.value_size > i32::MAX as u32 {
        return Err(CreateError::new(Errno::E2BIG, "value_size above 2 GiB"));
    }
    if def.map_type == MapType::PercpuArray
        && def.value_size.next_multiple_of(8) > PERCPU_VALUE_MOST
    {
        return Err(CreateError::new(
            Errno::E2BIG,
            "value_size of a per-CPU array above 32 KiB",
        ));
    }
    Ok(())
}

fn check_update(flags: u64, def: &MapDef, key: &[u8]) -> Result<u32, Errno> {
    check_flags_and_index(flags, def, index_key(key))
}

#[inline(always)]
fn check_flags_and_index(flags: u64, def: &MapDef, index: Option<u32>) -> Result<u32, Errno> {
    let flags = update_flags(def, flags)?;
    let index = index.ok_or(Errno::EINVAL)?;
    if index >= def.max_entries {
        return Err(Errno::E2BIG);
    }
    if flags == update::BPF_NOEXIST {
        return Err(Errno::EEXIST);
    }
    Ok(index)
}

/// An array.
pub struct Array {
    base: MapBase,
    values: Block,
    address: u64,
    stride: u32,
}

impl Array {
    /// Creates one.
    pub fn new(host: &MapHost, def: &MapDef) -> Result<Array, CreateError> {
        check(def)?;
        let stride = def.value_stride();
        let len = stride
            .checked_mul(def.max_entries as usize)
            .ok_or_else(CreateError::no_memory)?;
        let values = if def.flags.contains(MapFlags::MMAPABLE) {
            host.cage.allocate_shared(len)?
        } else {
            host.cage.allocate(len, 8)?
        };
        let address = values.address();
        Ok(Array {
            base: MapBase::new(def.clone()),
            values,
            address,
            stride: stride as u32,
        })
    }

    /// Whether [`Array::put`] may be called: values are nothing but bytes.
    pub fn is_quick(&self) -> bool {
        self.base.def().fields.is_empty()
    }

    /// [`Map::update`] with the value's bytes still in the cage.
    ///
    /// # Safety
    /// The map [`Array::is_quick`]; the value is mapped readable.
    #[inline(always)]
    pub unsafe fn put(&self, index: u32, value: NonNull<u8>, flags: u64) -> Result<(), Errno> {
        let def = self.base.def();
        let index = check_flags_and_index(flags, def, Some(index))?;
        // SAFETY: the index was compared; values have this size.
        unsafe { bytes::copy(value, self.at(index), def.value_size as usize) };
        Ok(())
    }

    /// # Safety
    /// `index` is below `max_entries`.
    unsafe fn at(&self, index: u32) -> NonNull<u8> {
        // SAFETY: by the caller's promise inside the block, hence not null.
        unsafe {
            NonNull::new_unchecked(
                (self.address + u64::from(index) * u64::from(self.stride)) as *mut u8,
            )
        }
    }
}

impl Map for Array {
    fn base(&self) -> &MapBase {
        &self.base
    }

    #[inline]
    fn lookup(&self, key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        let index = index_key(key)?;
        // SAFETY: the index was compared.
        (index < self.base.def().max_entries).then(|| unsafe { self.at(index) })
    }

    fn update(&self, key: &[u8], value: &[u8], flags: u64, _cpu: u32) -> Result<(), Errno> {
        let def = self.base.def();
        let index = check_update(flags, def, key)?;
        if value.len() != def.value_size as usize {
            return Err(Errno::EINVAL);
        }
        // SAFETY: `check_update` compared the index.
        unsafe {
            let at = self.at(index);
            crate::lock::with(def, at, flags, || def.copy_in(at, value));
        }
        Ok(())
    }

    fn delete(&self, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn for_each(
        &self,
        _cpu: u32,
        each: &mut dyn FnMut(ElementKey, NonNull<u8>) -> bool,
    ) -> Result<u64, Errno> {
        for index in 0..self.base.def().max_entries {
            // SAFETY: below `max_entries`.
            if !each(ElementKey::Index(index), unsafe { self.at(index) }) {
                return Ok(u64::from(index) + 1);
            }
        }
        Ok(u64::from(self.base.def().max_entries))
    }

    fn next_key(&self, key: Option<&[u8]>, out: &mut [u8]) -> Result<(), Errno> {
        next_index(key, self.base.def().max_entries, out)
    }

    fn direct_values(&self) -> Option<DirectValues> {
        Some(DirectValues {
            first: self.address,
            stride: self.stride,
            count: self.base.def().max_entries,
            plane: 0,
            planes: 1,
        })
    }

    fn memfd(&self) -> Option<BorrowedFd<'_>> {
        self.values.memfd()
    }

    fn holds(&self, address: u64, len: u64, _write: bool) -> bool {
        let def = self.base.def();
        let (count, size) = (u64::from(def.max_entries), u64::from(def.value_size));
        in_element(
            self.address,
            u64::from(self.stride),
            count,
            size,
            address,
            len,
        )
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        self.values.len() as u64
    }
}

/// An array with a value of its own for every CPU.
pub struct PercpuArray {
    base: MapBase,
    values: Block,
    cpus: u32,
    /// Bytes from one CPU's values to the next CPU's: whole cache lines.
    plane: usize,
}

impl PercpuArray {
    /// Creates one.
    pub fn new(host: &MapHost, def: &MapDef) -> Result<PercpuArray, CreateError> {
        check(def)?;
        let cpus = host.cpus.count();
        let plane = def
            .value_stride()
            .checked_mul(def.max_entries as usize)
            .and_then(|l| l.checked_next_multiple_of(64))
            .ok_or_else(CreateError::no_memory)?;
        let len = plane
            .checked_mul(cpus as usize)
            .ok_or_else(CreateError::no_memory)?;
        let values = host.cage.allocate(len, 64)?;
        Ok(PercpuArray {
            base: MapBase::new(def.clone()),
            values,
            cpus,
            plane,
        })
    }

    /// Whether [`PercpuArray::put`] may be called: values are nothing but bytes.
    pub fn is_quick(&self) -> bool {
        self.base.def().fields.is_empty()
    }

    /// [`Map::update`] with the value's bytes still in the cage.
    ///
    /// # Safety
    /// The map [`PercpuArray::is_quick`]; the value is mapped readable; `cpu` is one of the map's host.
    #[inline(always)]
    pub unsafe fn put(
        &self,
        index: u32,
        value: NonNull<u8>,
        flags: u64,
        cpu: u32,
    ) -> Result<(), Errno> {
        let def = self.base.def();
        let index = check_flags_and_index(flags, def, Some(index))?;
        // SAFETY: index and CPU are in range; values have this size.
        unsafe { bytes::copy(value, self.at(index, cpu), def.value_size as usize) };
        Ok(())
    }

    /// # Safety
    /// `index` is below `max_entries`, `cpu` below the number of CPUs.
    unsafe fn at(&self, index: u32, cpu: u32) -> NonNull<u8> {
        let offset = cpu as usize * self.plane + index as usize * self.base.def().value_stride();
        // SAFETY: by the caller's promise inside the block.
        unsafe { self.values.pointer().add(offset) }
    }

    fn index(&self, key: &[u8]) -> Option<u32> {
        index_key(key).filter(|&i| i < self.base.def().max_entries)
    }
}

impl Map for PercpuArray {
    fn base(&self) -> &MapBase {
        &self.base
    }

    fn lookup(&self, key: &[u8], cpu: u32) -> Option<NonNull<u8>> {
        let index = self.index(key)?;
        // SAFETY: both were compared.
        (cpu < self.cpus).then(|| unsafe { self.at(index, cpu) })
    }

    fn update(&self, key: &[u8], value: &[u8], flags: u64, cpu: u32) -> Result<(), Errno> {
        let def = self.base.def();
        let index = check_update(flags, def, key)?;
        if value.len() != def.value_size as usize || cpu >= self.cpus {
            return Err(Errno::EINVAL);
        }
        // SAFETY: index and CPU were compared.
        unsafe { def.copy_in(self.at(index, cpu), value) };
        Ok(())
    }

    fn delete(&self, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn lookup_percpu(&self, key: &[u8], cpu: u32) -> Option<NonNull<u8>> {
        self.lookup(key, cpu)
    }

    fn for_each(
        &self,
        cpu: u32,
        each: &mut dyn FnMut(ElementKey, NonNull<u8>) -> bool,
    ) -> Result<u64, Errno> {
        if cpu >= self.cpus {
            return Err(Errno::EINVAL);
        }
        for index in 0..self.base.def().max_entries {
            // SAFETY: both are in range.
            if !each(ElementKey::Index(index), unsafe { self.at(index, cpu) }) {
                return Ok(u64::from(index) + 1);
            }
        }
        Ok(u64::from(self.base.def().max_entries))
    }

    fn direct_values(&self) -> Option<DirectValues> {
        Some(DirectValues {
            first: self.values.address(),
            stride: self.base.def().value_stride() as u32,
            count: self.base.def().max_entries,
            plane: u32::try_from(self.plane).ok()?,
            planes: self.cpus,
        })
    }

    fn user_value_size(&self) -> usize {
        self.base.def().value_stride() * self.cpus as usize
    }

    fn user_lookup(&self, key: &[u8], out: &mut [u8]) -> Result<(), Errno> {
        let index = self.index(key).ok_or(Errno::ENOENT)?;
        // SAFETY: the index was compared, CPUs are below the number of CPUs.
        unsafe { copy_out_percpu(self.base.def(), self.cpus, |cpu| self.at(index, cpu), out) }
    }

    fn user_update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let index = check_update(flags, self.base.def(), key)?;
        // SAFETY: as above.
        unsafe { copy_in_percpu(self.base.def(), self.cpus, |cpu| self.at(index, cpu), value) }
    }

    fn next_key(&self, key: Option<&[u8]>, out: &mut [u8]) -> Result<(), Errno> {
        next_index(key, self.base.def().max_entries, out)
    }

    fn holds(&self, address: u64, len: u64, _write: bool) -> bool {
        let def = self.base.def();
        let (stride, size) = (def.value_stride() as u64, u64::from(def.value_size));
        (0..self.cpus as usize).any(|cpu| {
            let plane = self.values.address() + (cpu * self.plane) as u64;
            in_element(
                plane,
                stride,
                u64::from(def.max_entries),
                size,
                address,
                len,
            )
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        self.values.len() as u64
    }
}
