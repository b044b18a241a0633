//! `BPF_MAP_TYPE_HASH`, `PERCPU_HASH`, `LRU_HASH` and `LRU_PERCPU_HASH`.

use std::{
    any::Any,
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering, fence},
};

use panal_uapi::{Errno, MapType, kernel::MapFlags, kernel::update};

use super::{
    function::Hasher,
    pool::{Pool, Shape},
    quick::Spare,
    recency::Recency,
    table::{Locked, Position, Table},
};
use crate::{
    CreateError, ElementKey, Map, MapBase, MapDef, MapHost, bytes,
    def::{ACCESS_FLAGS, PERCPU_VALUE_MOST, check_flags, check_not_zero, update_flags},
    map::{copy_in_percpu, copy_out_percpu, init_percpu},
    zeroed::zeroed,
};

/// Most bytes of key and value together (`KMALLOC_MAX_SIZE` less an element's header).
const ELEMENT_MOST: u64 = (4 << 20) - 48;
/// Most entries: Linux refuses a table of more than 2^28 buckets.
const ENTRIES_MOST: u32 = 1 << 27;
/// Elements beyond the capacity, for replacements under way on threads that are no CPU. Each CPU has
/// one more.
const SPARE: u32 = 32;

fn is_lru(def: &MapDef) -> bool {
    matches!(def.map_type, MapType::LruHash | MapType::LruPercpuHash)
}

fn is_percpu(def: &MapDef) -> bool {
    matches!(def.map_type, MapType::PercpuHash | MapType::LruPercpuHash)
}

/// What every kind of hash demands (`htab_map_alloc_check`).
fn check(def: &MapDef) -> Result<(), CreateError> {
    let (lru, percpu) = (is_lru(def), is_percpu(def));
    check_flags(
        def,
        MapFlags::NO_PREALLOC
            | MapFlags::NO_COMMON_LRU
            | MapFlags::NUMA_NODE
            | MapFlags::ZERO_SEED
            | ACCESS_FLAGS,
    )?;
    if !lru && def.flags.contains(MapFlags::NO_COMMON_LRU) {
        return Err(CreateError::invalid(
            "BPF_F_NO_COMMON_LRU on a map that is no LRU",
        ));
    }
    if lru && def.flags.contains(MapFlags::NO_PREALLOC) {
        return Err(CreateError::new(
            Errno::ENOTSUPP,
            "an LRU map is always preallocated",
        ));
    }
    if def.flags.contains(MapFlags::NUMA_NODE)
        && (percpu || def.flags.contains(MapFlags::NO_COMMON_LRU))
    {
        return Err(CreateError::invalid(
            "a NUMA node for memory that each CPU has its own of",
        ));
    }
    check_not_zero(&[
        ("max_entries", def.max_entries),
        ("key_size", def.key_size),
        ("value_size", def.value_size),
    ])?;
    if u64::from(def.key_size) + u64::from(def.value_size) >= ELEMENT_MOST {
        return Err(CreateError::new(
            Errno::E2BIG,
            "key and value together above 4 MiB",
        ));
    }
    if percpu && def.value_size.next_multiple_of(8) > PERCPU_VALUE_MOST {
        return Err(CreateError::new(
            Errno::E2BIG,
            "value_size of a per-CPU hash above 32 KiB",
        ));
    }
    if def.max_entries > ENTRIES_MOST {
        return Err(CreateError::new(
            if def.max_entries > 1 << 28 {
                Errno::E2BIG
            } else {
                Errno::ENOMEM
            },
            format!("{} entries are too many for a hash", def.max_entries),
        ));
    }
    Ok(())
}

/// A hash map of any of the four types.
pub struct HashMap {
    pub(super) base: MapBase,
    pub(super) hasher: Hasher,
    pub(super) table: Table,
    pub(super) pool: Pool,
    pub(super) recency: Option<Recency>,
    count: AtomicU32,
    /// CPUs with a value of their own each; 0 where all share one.
    pub(super) percpu: u32,
    key_size: usize,
    /// Of each CPU.
    pub(super) spares: Box<[Spare]>,
}

impl HashMap {
    /// Creates one.
    pub fn new(host: &MapHost, def: &MapDef) -> Result<HashMap, CreateError> {
        check(def)?;
        let mut def = def.clone();
        let cpus = host.cpus.count();
        if def.flags.contains(MapFlags::NO_COMMON_LRU) {
            // Every CPU's list gets the same share.
            let up = def.max_entries.next_multiple_of(cpus);
            def.max_entries = up;
        }
        let percpu = if is_percpu(&def) { cpus } else { 0 };
        let capacity = def.max_entries + SPARE + cpus;
        let pool = Pool::new(
            host,
            Shape {
                key: (def.key_size as usize).next_multiple_of(8),
                value: def.value_stride(),
                planes: percpu.max(1) as usize,
                capacity,
                preallocate: !def.flags.contains(MapFlags::NO_PREALLOC),
            },
        )?;
        let recency = match is_lru(&def) {
            true => Some(Recency::new(capacity).ok_or_else(CreateError::no_memory)?),
            false => None,
        };
        Ok(HashMap {
            hasher: Hasher::new(def.flags.contains(MapFlags::ZERO_SEED)),
            table: Table::new(def.max_entries).ok_or_else(CreateError::no_memory)?,
            pool,
            recency,
            count: AtomicU32::new(0),
            percpu,
            key_size: def.key_size as usize,
            spares: zeroed(cpus as usize).ok_or_else(CreateError::no_memory)?,
            base: MapBase::new(def),
        })
    }

    /// How many elements there are.
    pub fn len(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline(always)]
    pub(super) fn same(&self, key: &[u8]) -> impl Fn(u32) -> bool {
        // SAFETY: numbers in the table come from the pool; the key's bytes are there.
        move |element| unsafe { bytes::equal(self.pool.key(element), key) }
    }

    /// The same, compiled for a size of keys.
    #[inline(always)]
    pub(super) fn same_sized<const N: usize>(&self, key: &[u8; N]) -> impl Fn(u32) -> bool {
        // SAFETY: numbers in the table come from the pool, where keys are aligned and take whole words.
        move |element| unsafe { bytes::is_key(self.pool.key(element), key) }
    }

    #[inline(always)]
    fn find(&self, key: &[u8]) -> Option<u32> {
        if key.len() != self.key_size {
            return None;
        }
        let hash = self.hasher.hash(key);
        // The comparison is compiled for the usual sizes by themselves.
        match key.len() {
            4 => self.find_sized::<4>(hash, key),
            8 => self.find_sized::<8>(hash, key),
            16 => self.find_sized::<16>(hash, key),
            _ => self.table.find(hash, self.same(key)),
        }
    }

    #[inline(always)]
    fn find_sized<const N: usize>(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let key: &[u8; N] = key.try_into().ok()?;
        self.table.find(hash, self.same_sized(key))
    }

    /// An LRU map removes elements until one more may be added.
    #[inline]
    pub(super) fn make_room(&self) {
        while self.count.load(Ordering::Relaxed) >= self.base.def().max_entries {
            if !self.evict() {
                break;
            }
        }
    }

    /// Takes a free element; an LRU map makes room for it, another answers `E2BIG`.
    #[inline]
    pub(super) fn take(&self) -> Result<u32, Errno> {
        if self.recency.is_some() {
            self.make_room();
        }
        loop {
            match self.pool.take() {
                Err(Errno::E2BIG) if self.recency.is_some() && self.evict() => {}
                result => return result,
            }
        }
    }

    /// Removes the element that was used the longest ago; false when there is none.
    fn evict(&self) -> bool {
        let Some((victim, hash)) = self.recency.as_ref().and_then(Recency::victim) else {
            return false;
        };
        let locked = self.table.lock(hash);
        let removed = locked.remove(victim);
        if removed {
            self.unlinked(&locked, victim);
        }
        drop(locked);
        if removed {
            self.pool.give(victim);
        }
        true
    }

    /// Bookkeeping for an element that was removed from its bucket, which is still locked.
    #[inline]
    pub(super) fn unlinked(&self, _locked: &Locked<'_>, element: u32) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        if let Some(recency) = &self.recency {
            recency.remove(element);
        }
    }

    /// The common part of updates: `fill` writes a new element's value, `change` an existing one's
    /// in place and says whether it did.
    fn store(
        &self,
        key: &[u8],
        flags: u64,
        fill: impl Fn(u32),
        change: impl Fn(u32) -> bool,
    ) -> Result<(), Errno> {
        let plain = update_flags(self.base.def(), flags)?;
        if key.len() != self.key_size {
            return Err(Errno::EINVAL);
        }
        let hash = self.hasher.hash(key);
        let same = self.same(key);
        // Elements that are changed in place need no new one.
        {
            let locked = self.table.lock(hash);
            match locked.find(&same) {
                Some(_) if plain == update::BPF_NOEXIST => return Err(Errno::EEXIST),
                None if plain == update::BPF_EXIST => return Err(Errno::ENOENT),
                Some(old) if change(old) => return Ok(()),
                None if self.recency.is_none()
                    && self.count.load(Ordering::Relaxed) >= self.base.def().max_entries =>
                {
                    return Err(Errno::E2BIG);
                }
                _ => {}
            }
        }
        let new = self.take()?;
        // A reader that still compares this element for its old bucket must see that bucket's new
        // sequence number, when it sees any of the bytes that follow.
        fence(Ordering::Release);
        // SAFETY: the element is ours; its key's bytes are there.
        unsafe { bytes::write(self.pool.key(new), key) };
        fill(new);
        let result = self.link(hash, key, plain, new);
        match result {
            Ok(None) => Ok(()),
            Ok(Some(old)) => {
                self.pool.give(old);
                Ok(())
            }
            Err(e) => {
                self.pool.give(new);
                Err(e)
            }
        }
    }

    /// Puts a finished element into the table; the one that it replaces.
    fn link(&self, hash: u64, key: &[u8], flags: u64, new: u32) -> Result<Option<u32>, Errno> {
        self.link_locked(&self.table.lock(hash), hash, key, flags, new)
    }

    /// The same under the bucket's lock.
    pub(super) fn link_locked(
        &self,
        locked: &Locked<'_>,
        hash: u64,
        key: &[u8],
        flags: u64,
        new: u32,
    ) -> Result<Option<u32>, Errno> {
        match locked.find(self.same(key)) {
            Some(_) if flags == update::BPF_NOEXIST => Err(Errno::EEXIST),
            None if flags == update::BPF_EXIST => Err(Errno::ENOENT),
            Some(old) => {
                locked.replace(old, new);
                if let Some(recency) = &self.recency {
                    recency.replace(old, new, hash);
                }
                Ok(Some(old))
            }
            None => {
                let before = self.count.fetch_add(1, Ordering::Relaxed);
                let full = before >= self.base.def().max_entries && self.recency.is_none();
                if full || !locked.insert(new) {
                    self.count.fetch_sub(1, Ordering::Relaxed);
                    return Err(if full { Errno::E2BIG } else { Errno::ENOMEM });
                }
                if let Some(recency) = &self.recency {
                    recency.add(new, hash);
                }
                Ok(None)
            }
        }
    }

    fn value_at(&self, element: u32, cpu: u32) -> NonNull<u8> {
        self.pool.plane_value(element, cpu)
    }

    /// Copies an element's value out as the system call sees it.
    fn copy_out(&self, element: u32, out: &mut [u8]) -> Result<(), Errno> {
        let def = self.base.def();
        // SAFETY: elements of the table have values, one or one for each CPU.
        unsafe {
            if self.percpu > 0 {
                return copy_out_percpu(def, self.percpu, |cpu| self.value_at(element, cpu), out);
            }
            def.copy_out(self.pool.value(element), out);
        }
        Ok(())
    }
}

impl Map for HashMap {
    fn base(&self) -> &MapBase {
        &self.base
    }

    fn lookup(&self, key: &[u8], cpu: u32) -> Option<NonNull<u8>> {
        let element = self.find(key)?;
        if let Some(recency) = &self.recency {
            recency.touch(element);
        }
        Some(match self.percpu {
            0 => self.pool.value(element),
            _ => self.value_at(element, cpu),
        })
    }

    fn update(&self, key: &[u8], value: &[u8], flags: u64, cpu: u32) -> Result<(), Errno> {
        let def = self.base.def();
        if value.len() != def.value_size as usize {
            return Err(Errno::EINVAL);
        }
        // SAFETY (all below): elements have values of this size.
        if self.percpu > 0 {
            if cpu >= self.percpu {
                return Err(Errno::EINVAL);
            }
            return self.store(
                key,
                flags,
                // SAFETY: as above.
                |new| unsafe {
                    init_percpu(def, self.percpu, cpu, |cpu| self.value_at(new, cpu), value);
                },
                |old| {
                    // SAFETY: as above.
                    unsafe { def.copy_in(self.value_at(old, cpu), value) };
                    true
                },
            );
        }
        self.store(
            key,
            flags,
            |new| {
                let at = self.pool.value(new);
                // SAFETY: as above. Special fields of a new element are zero.
                unsafe {
                    if !def.fields.is_empty() {
                        bytes::zero(at, def.value_size as usize);
                    }
                    def.copy_in(at, value);
                }
            },
            |old| {
                let in_place = flags & update::BPF_F_LOCK != 0;
                if in_place {
                    let at = self.pool.value(old);
                    // SAFETY: as above.
                    unsafe { crate::lock::with(def, at, flags, || def.copy_in(at, value)) };
                }
                in_place
            },
        )
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        if key.len() != self.key_size {
            return Err(Errno::EINVAL);
        }
        let locked = self.table.lock(self.hasher.hash(key));
        let element = locked.find(self.same(key)).ok_or(Errno::ENOENT)?;
        locked.remove(element);
        self.unlinked(&locked, element);
        drop(locked);
        self.pool.give(element);
        Ok(())
    }

    fn lookup_percpu(&self, key: &[u8], cpu: u32) -> Option<NonNull<u8>> {
        if cpu >= self.percpu {
            return None;
        }
        Some(self.value_at(self.find(key)?, cpu))
    }

    fn for_each(
        &self,
        cpu: u32,
        each: &mut dyn FnMut(ElementKey, NonNull<u8>) -> bool,
    ) -> Result<u64, Errno> {
        let mut visited = 0;
        let mut position = Position::default();
        while let Some((at, element)) = self.table.next_from(position) {
            visited += 1;
            let value = self.value_at(element, cpu);
            if !each(ElementKey::InCage(self.pool.key(element)), value) {
                break;
            }
            position = at.after();
        }
        Ok(visited)
    }

    fn user_value_size(&self) -> usize {
        match self.percpu {
            0 => self.base.def().value_size as usize,
            cpus => self.base.def().value_stride() * cpus as usize,
        }
    }

    fn user_lookup(&self, key: &[u8], out: &mut [u8]) -> Result<(), Errno> {
        // Looking from user space does not make an element recent.
        self.copy_out(self.find(key).ok_or(Errno::ENOENT)?, out)
    }

    fn user_update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if self.percpu == 0 {
            return self.update(key, value, flags, 0);
        }
        if value.len() != self.user_value_size() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: elements have a value for each CPU.
        let write = |element| unsafe {
            let _ = copy_in_percpu(
                self.base.def(),
                self.percpu,
                |cpu| self.value_at(element, cpu),
                value,
            );
        };
        self.store(key, flags, write, |old| {
            write(old);
            true
        })
    }

    fn user_lookup_and_delete(&self, key: &[u8], out: &mut [u8]) -> Result<(), Errno> {
        if key.len() != self.key_size {
            return Err(Errno::EINVAL);
        }
        let locked = self.table.lock(self.hasher.hash(key));
        let element = locked.find(self.same(key)).ok_or(Errno::ENOENT)?;
        self.copy_out(element, out)?;
        locked.remove(element);
        self.unlinked(&locked, element);
        drop(locked);
        self.pool.give(element);
        Ok(())
    }

    fn next_key(&self, key: Option<&[u8]>, out: &mut [u8]) -> Result<(), Errno> {
        let start = match key {
            Some(key) if key.len() == self.key_size => self
                .table
                .position(self.hasher.hash(key), self.same(key))
                .map_or_else(Position::default, Position::after),
            Some(_) => return Err(Errno::EINVAL),
            None => Position::default(),
        };
        let (_, element) = self.table.next_from(start).ok_or(Errno::ENOENT)?;
        let out = out.get_mut(..self.key_size).ok_or(Errno::EINVAL)?;
        // SAFETY: the key's bytes are there.
        unsafe { bytes::read(self.pool.key(element), out) };
        Ok(())
    }

    fn holds(&self, address: u64, len: u64, write: bool) -> bool {
        self.pool
            .holds(u64::from(self.base.def().value_size), address, len, write)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        self.pool.memory() + self.table.memory()
    }
}
