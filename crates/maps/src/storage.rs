//! Values that belong to an object of the kernel: `TASK_STORAGE`, `SK_STORAGE`, `INODE_STORAGE`,
//! `CGRP_STORAGE`, and the elder `CGROUP_STORAGE` and `PERCPU_CGROUP_STORAGE`.
//!
//! The kernel names owners by a number of its own and says when one is gone.

use std::{
    any::Any,
    ptr::NonNull,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use panal_uapi::{Errno, MapType, kernel::MapFlags, kernel::update};

use crate::{
    CreateError, HashKind, HashMap, Map, MapBase, MapDef, MapHost,
    def::{ACCESS_FLAGS, PERCPU_VALUE_MOST, check_flags, check_not_zero},
    hash_kind as kind,
};

/// Most owners that have a value at once.
const OWNERS_MOST: u32 = 1 << 20;
/// Most bytes of a cgroup's value (`KMALLOC_MAX_SIZE` less a header).
const CGROUP_VALUE_MOST: u32 = (4 << 20) - 64;
/// Most bytes of another owner's value (`BPF_LOCAL_STORAGE_MAX_VALUE_SIZE`).
const LOCAL_VALUE_MOST: u32 = u16::MAX as u32 - 88;

fn of_cgroup(def: &MapDef) -> bool {
    matches!(
        def.map_type,
        MapType::CgroupStorage | MapType::PercpuCgroupStorage
    )
}

fn check_cgroup(def: &MapDef) -> Result<(), CreateError> {
    if !matches!(def.key_size, 8 | 16) {
        return Err(CreateError::invalid(
            "key_size of a cgroup storage: 8 or 16",
        ));
    }
    check_not_zero(&[("value_size", def.value_size)])?;
    let most = match def.map_type {
        MapType::PercpuCgroupStorage => PERCPU_VALUE_MOST,
        _ => CGROUP_VALUE_MOST,
    };
    if def.value_size > most {
        return Err(CreateError::new(
            Errno::E2BIG,
            format!("value_size above {most}"),
        ));
    }
    check_flags(def, MapFlags::NUMA_NODE | ACCESS_FLAGS)
}

fn check_local(def: &MapDef) -> Result<(), CreateError> {
    check_flags(def, MapFlags::NO_PREALLOC | MapFlags::CLONE)?;
    check_not_zero(&[("value_size", def.value_size)])?;
    if !def.flags.contains(MapFlags::NO_PREALLOC) || def.key_size != 4 {
        return Err(CreateError::invalid(
            "a storage has BPF_F_NO_PREALLOC and keys of 4 bytes",
        ));
    }
    if def.value_size > LOCAL_VALUE_MOST {
        return Err(CreateError::new(
            Errno::E2BIG,
            "value_size of a storage above 64 KiB",
        ));
    }
    Ok(())
}

fn check(def: &MapDef) -> Result<(), CreateError> {
    if of_cgroup(def) {
        check_cgroup(def)?;
    } else {
        check_local(def)?;
    }
    if def.max_entries != 0 {
        return Err(CreateError::invalid(
            "max_entries of a storage: owners are not counted",
        ));
    }
    Ok(())
}

/// The value that a CPU found last. The CPU alone uses it.
#[derive(Default)]
#[repr(align(64))]
struct Found {
    owner: AtomicU64,
    /// Of the removals before it.
    removals: AtomicU64,
    /// Address of the value; 0 where none was found.
    value: AtomicU64,
}

/// Values by owner.
pub struct Storage {
    base: MapBase,
    values: HashMap,
    /// How often something was removed or replaced.
    removals: AtomicU64,
    found: Box<[Found]>,
}

impl Storage {
    /// Creates one (`bpf_local_storage_map_alloc_check`, `cgroup_storage_map_alloc`).
    pub fn new(host: &MapHost, def: &MapDef) -> Result<Storage, CreateError> {
        check(def)?;
        let values = MapDef {
            map_type: match def.map_type {
                MapType::PercpuCgroupStorage => MapType::PercpuHash,
                _ => MapType::Hash,
            },
            key_size: 8,
            max_entries: OWNERS_MOST,
            flags: MapFlags::NO_PREALLOC,
            ..def.clone()
        };
        Ok(Storage {
            base: MapBase::new(def.clone()),
            values: HashMap::new(host, &values)?,
            removals: AtomicU64::new(0),
            found: (0..host.cpus.count()).map(|_| Found::default()).collect(),
        })
    }

    /// The value of an owner (`bpf_*_storage_get` without a flag, `bpf_get_local_storage`).
    #[inline(always)]
    pub fn get(&self, owner: u64, cpu: u32) -> Option<NonNull<u8>> {
        let found = self.found.get(cpu as usize)?;
        // Before the value is looked for: what is removed meanwhile is not remembered.
        let removals = self.removals.load(Acquire);
        if found.owner.load(Relaxed) == owner
            && found.removals.load(Relaxed) == removals
            && let Some(value) = NonNull::new(found.value.load(Relaxed) as *mut u8)
        {
            return Some(value);
        }
        let value = self.find(owner, cpu)?;
        found.owner.store(owner, Relaxed);
        found.removals.store(removals, Relaxed);
        found.value.store(value.as_ptr() as u64, Relaxed);
        Some(value)
    }

    fn find(&self, owner: u64, cpu: u32) -> Option<NonNull<u8>> {
        let owner = owner.to_ne_bytes();
        match self.values.kind() {
            // SAFETY: keys have eight bytes, and all CPUs one value.
            HashKind::Plain => unsafe { self.values.value_of::<8, { kind::PLAIN }>(&owner, cpu) },
            _ => self.values.lookup(&owner, cpu),
        }
    }

    /// The value of an owner; made from `initial` (or zeros) if it has none
    /// (`BPF_LOCAL_STORAGE_GET_F_CREATE`).
    #[inline(always)]
    pub fn get_or_create(
        &self,
        owner: u64,
        initial: Option<&[u8]>,
        cpu: u32,
    ) -> Option<NonNull<u8>> {
        self.get(owner, cpu)
            .or_else(|| self.create(owner, initial, cpu))
    }

    #[cold]
    #[inline(never)]
    fn create(&self, owner: u64, initial: Option<&[u8]>, cpu: u32) -> Option<NonNull<u8>> {
        let zeros = vec![0; self.base.def().value_size as usize];
        let initial = initial.filter(|v| v.len() == zeros.len()).unwrap_or(&zeros);
        match self
            .values
            .update(&owner.to_ne_bytes(), initial, update::BPF_NOEXIST, cpu)
        {
            Ok(()) | Err(Errno::EEXIST) => self.get(owner, cpu),
            Err(_) => None,
        }
    }

    /// Removes the value of an owner (`bpf_*_storage_delete`, or because the owner is gone).
    pub fn remove(&self, owner: u64) -> Result<(), Errno> {
        let removed = self.values.delete(&owner.to_ne_bytes());
        self.removals.fetch_add(1, Release);
        removed
    }

    /// `BPF_MAP_LOOKUP_ELEM` with the owner behind the key.
    pub fn read(&self, owner: u64, out: &mut [u8]) -> Result<(), Errno> {
        self.values.user_lookup(&owner.to_ne_bytes(), out)
    }

    /// `BPF_MAP_UPDATE_ELEM` with the owner behind the key.
    pub fn write(&self, owner: u64, value: &[u8], flags: u64) -> Result<(), Errno> {
        let written = self.values.user_update(&owner.to_ne_bytes(), value, flags);
        self.removals.fetch_add(1, Release);
        written
    }
}

impl Map for Storage {
    fn base(&self) -> &MapBase {
        &self.base
    }

    fn lookup(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn user_value_size(&self) -> usize {
        self.values.user_value_size()
    }

    /// Only the kernel knows the owner behind a key: see [`Storage::read`].
    fn user_lookup(&self, _key: &[u8], _out: &mut [u8]) -> Result<(), Errno> {
        Err(if of_cgroup(self.base.def()) {
            Errno::ENOENT
        } else {
            Errno::EBADF
        })
    }

    fn user_update(&self, _key: &[u8], _value: &[u8], flags: u64) -> Result<(), Errno> {
        Err(match of_cgroup(self.base.def()) {
            true if flags & !(update::BPF_EXIST | update::BPF_F_LOCK) != 0 => Errno::EINVAL,
            true => Errno::ENOENT,
            false => Errno::EBADF,
        })
    }

    fn delete(&self, _key: &[u8]) -> Result<(), Errno> {
        Err(if of_cgroup(self.base.def()) {
            Errno::EINVAL
        } else {
            Errno::EBADF
        })
    }

    fn next_key(&self, _key: Option<&[u8]>, _out: &mut [u8]) -> Result<(), Errno> {
        Err(if of_cgroup(self.base.def()) {
            Errno::ENOENT
        } else {
            Errno::ENOTSUPP
        })
    }

    fn holds(&self, address: u64, len: u64, write: bool) -> bool {
        self.values.holds(address, len, write)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        self.values.memory()
    }
}
