//! Where packets can be redirected to: `DEVMAP`, `DEVMAP_HASH`, `CPUMAP`.
//!
//! These maps hold values (interface or queue size, and a program); what a redirection does with
//! them is the kernel's affair.

use std::{
    any::Any,
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

use panal_uapi::{Errno, MapType, kernel::MapFlags, kernel::update};

use crate::{
    Block, CreateError, HashMap, Map, MapBase, MapDef, MapHost, Object, ObjectArray, bytes,
    def::check_flags,
    map::{in_element, index_key, next_index},
    zeroed::zeroed,
};

/// Most CPUs that a CPU map may name (`NR_CPUS` of common builds).
const CPUS_MOST: u32 = 8192;

fn check(def: &MapDef) -> Result<(), CreateError> {
    let mut allowed = MapFlags::NUMA_NODE;
    if def.map_type != MapType::Cpumap {
        allowed |= MapFlags::RDONLY | MapFlags::WRONLY;
    }
    if def.max_entries == 0 || def.key_size != 4 || !matches!(def.value_size, 4 | 8) {
        return Err(CreateError::invalid(format!(
            "a {} has keys of 4 bytes, values of 4 or 8, and at least one entry",
            def.map_type
        )));
    }
    check_flags(def, allowed)?;
    if def.map_type == MapType::Cpumap && def.max_entries > CPUS_MOST {
        return Err(CreateError::new(
            Errno::E2BIG,
            "more entries than CPUs can be",
        ));
    }
    Ok(())
}

/// The definition that the map shows: programs must not write devices.
fn of_map(def: &MapDef) -> MapDef {
    let mut shown = def.clone();
    if def.map_type != MapType::Cpumap {
        shown.flags |= MapFlags::RDONLY_PROG;
    }
    shown
}

/// An array of targets: those that were set are there.
pub struct RedirectArray {
    base: MapBase,
    values: Block,
    present: Box<[AtomicU32]>,
    programs: ObjectArray,
}

impl RedirectArray {
    /// Creates one (`dev_map_init_map`, `cpu_map_alloc`).
    pub fn new(host: &MapHost, def: &MapDef) -> Result<RedirectArray, CreateError> {
        check(def)?;
        let len = (def.max_entries as usize)
            .checked_mul(8)
            .ok_or_else(CreateError::no_memory)?;
        let slots = MapDef::new(MapType::ProgArray, 4, 4, def.max_entries);
        Ok(RedirectArray {
            base: MapBase::new(of_map(def)),
            values: host.cage.allocate(len, 8)?,
            present: zeroed(def.max_entries as usize).ok_or_else(CreateError::no_memory)?,
            programs: ObjectArray::new(host, &slots)?,
        })
    }

    /// The programs of the targets, by index.
    pub fn programs(&self) -> &ObjectArray {
        &self.programs
    }

    /// Sets a target and its program.
    pub fn set(
        &self,
        key: &[u8],
        value: &[u8],
        program: Option<Object>,
        flags: u64,
    ) -> Result<(), Errno> {
        self.user_update(key, value, flags)?;
        match program {
            Some(program) => self.programs.set(key, program, update::BPF_ANY),
            None => match self.programs.delete(key) {
                Err(Errno::ENOENT) => Ok(()),
                result => result,
            },
        }
    }

    /// The target at an index: the number of its device, or the length of its CPU's queue.
    #[inline]
    pub fn value_at(&self, index: u32) -> Option<u32> {
        let there = self.present.get(index as usize)?.load(Ordering::Acquire) != 0;
        let at = self.at(index).filter(|_| there)?;
        // SAFETY: values have eight bytes.
        Some(unsafe { bytes::read_u32(at) })
    }

    fn at(&self, index: u32) -> Option<NonNull<u8>> {
        // SAFETY: the index was compared with the number of values of eight bytes each.
        (index < self.base.def().max_entries)
            .then(|| unsafe { self.values.pointer().add(8 * index as usize) })
    }
}

impl Map for RedirectArray {
    fn base(&self) -> &MapBase {
        &self.base
    }

    fn lookup(&self, key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        let index = index_key(key)?;
        let there = self.present.get(index as usize)?.load(Ordering::Acquire) != 0;
        if there { self.at(index) } else { None }
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let index = index_key(key).ok_or(Errno::EINVAL)?;
        self.present
            .get(index as usize)
            .ok_or(Errno::EINVAL)?
            .store(0, Ordering::Release);
        let _ = self.programs.delete(key);
        Ok(())
    }

    fn user_update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags > update::BPF_EXIST {
            return Err(Errno::EINVAL);
        }
        let index = index_key(key).ok_or(Errno::EINVAL)?;
        let at = self.at(index).ok_or(Errno::E2BIG)?;
        if flags == update::BPF_NOEXIST {
            return Err(Errno::EEXIST);
        }
        if value.len() != self.base.def().value_size as usize {
            return Err(Errno::EINVAL);
        }
        let (target, program) = value.split_at(4);
        if target.iter().all(|&b| b == 0) {
            // No target: the entry goes. A program without a target makes no sense.
            let programmed = program.iter().any(|&b| b != 0) && program != (-1i32).to_ne_bytes();
            return if programmed {
                Err(Errno::EINVAL)
            } else {
                self.delete(key)
            };
        }
        // SAFETY: every value has eight bytes.
        unsafe {
            bytes::zero(at, 8);
            bytes::write(at, value);
        }
        self.present[index as usize].store(1, Ordering::Release);
        Ok(())
    }

    fn next_key(&self, key: Option<&[u8]>, out: &mut [u8]) -> Result<(), Errno> {
        next_index(key, self.base.def().max_entries, out)
    }

    fn holds(&self, address: u64, len: u64, write: bool) -> bool {
        let (base, count) = (
            self.values.address(),
            u64::from(self.base.def().max_entries),
        );
        let size = u64::from(self.base.def().value_size);
        !write && in_element(base, 8, count, size, address, len)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        self.values.len() as u64
    }
}

/// Creates a `DEVMAP_HASH`: an ordinary hash of the values.
pub(crate) fn devmap_hash(host: &MapHost, def: &MapDef) -> Result<HashMap, CreateError> {
    check(def)?;
    HashMap::new(host, &of_map(def))
}
