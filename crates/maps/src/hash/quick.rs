//! What machine code calls on a map that it knows: lookups, updates and deletions compiled for a
//! size of keys, by a thread that holds a CPU.

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering, fence},
};

use panal_uapi::{Errno, kernel::update};

use super::{HashMap, table::Busy};
use crate::{Map, bytes, zeroed::Zero};

/// What lookups depend on, beside the key's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// One value for all CPUs.
    Plain,
    /// A value for each CPU.
    Percpu,
    /// One value for all CPUs, and every use is noted.
    Lru,
    /// A value for each CPU, and every use is noted.
    LruPercpu,
}

/// The number of a [`HashKind`], as functions are compiled for one.
pub mod kind {
    /// [`super::HashKind::Plain`]
    pub const PLAIN: u8 = 0;
    /// [`super::HashKind::Percpu`]
    pub const PERCPU: u8 = 1;
    /// [`super::HashKind::Lru`]
    pub const LRU: u8 = 2;
    /// [`super::HashKind::LruPercpu`]
    pub const LRU_PERCPU: u8 = 3;
}

/// A free element that a CPU keeps for its next update, plus one; 0 is none. One to a cache line.
#[repr(align(64))]
pub(super) struct Spare(AtomicU32);

// SAFETY: an atomic of an integer.
unsafe impl Zero for Spare {}

impl HashMap {
    /// What its lookups depend on.
    pub fn kind(&self) -> HashKind {
        match (self.recency.is_some(), self.percpu > 0) {
            (false, false) => HashKind::Plain,
            (false, true) => HashKind::Percpu,
            (true, false) => HashKind::Lru,
            (true, true) => HashKind::LruPercpu,
        }
    }

    /// Whether [`HashMap::put`] and [`HashMap::remove`] may be called: values are nothing but bytes.
    pub fn is_quick(&self) -> bool {
        self.base.def().fields.is_empty()
    }

    /// [`crate::Map::lookup`], compiled for a size of keys and a [`kind`].
    ///
    /// # Safety
    /// The map is of this kind and has keys of `KEY` bytes; `cpu` is one of its host's.
    #[inline(always)]
    pub unsafe fn value_of<const KEY: usize, const KIND: u8>(
        &self,
        key: &[u8; KEY],
        cpu: u32,
    ) -> Option<NonNull<u8>> {
        match self
            .table
            .try_find(self.hasher.hash(key), self.same_sized(key))
        {
            // SAFETY: the caller's promise.
            Ok(found) => found.map(|element| unsafe { self.used::<KEY, KIND>(element, cpu) }),
            // SAFETY: the caller's promise.
            Err(Busy) => unsafe { self.value_after_writer::<KEY, KIND>(*key, cpu) },
        }
    }

    /// [`crate::Map::lookup_percpu`], compiled for a size of keys.
    ///
    /// # Safety
    /// The map has a value for each CPU, and keys of `KEY` bytes.
    #[inline(always)]
    pub unsafe fn value_on<const KEY: usize>(
        &self,
        key: &[u8; KEY],
        cpu: u32,
    ) -> Option<NonNull<u8>> {
        if cpu >= self.percpu {
            return None;
        }
        let element = self
            .table
            .find(self.hasher.hash(key), self.same_sized(key))?;
        Some(self.pool.plane_value(element, cpu))
    }

    /// The same when a writer was at work: by itself, so that the usual way needs no registers that
    /// outlive a call.
    ///
    /// # Safety
    /// As for [`HashMap::value_of`].
    #[cold]
    #[inline(never)]
    unsafe fn value_after_writer<const KEY: usize, const KIND: u8>(
        &self,
        key: [u8; KEY],
        cpu: u32,
    ) -> Option<NonNull<u8>> {
        let found = self
            .table
            .find(self.hasher.hash(&key), self.same_sized(&key));
        // SAFETY: the caller's promise.
        found.map(|element| unsafe { self.used::<KEY, KIND>(element, cpu) })
    }

    /// The value of an element that was found.
    ///
    /// # Safety
    /// As for [`HashMap::value_of`]; the element came out of the table.
    #[inline(always)]
    unsafe fn used<const KEY: usize, const KIND: u8>(&self, element: u32, cpu: u32) -> NonNull<u8> {
        if KIND & kind::LRU != 0
            && let Some(recency) = &self.recency
        {
            recency.touch(element);
        }
        match KIND & kind::PERCPU {
            0 => {
                // SAFETY: by the caller's promise the value follows the key, which takes whole words.
                unsafe { self.pool.key(element).add(KEY.next_multiple_of(8)) }
            }
            _ => self.pool.plane_value(element, cpu),
        }
    }

    /// [`crate::Map::update`] with the value's bytes still in the cage.
    ///
    /// # Safety
    /// The map is of this kind, [`HashMap::is_quick`], and keys have `KEY` bytes; the calling thread
    /// holds this CPU of the map's host; the value is mapped readable.
    #[inline(always)]
    pub unsafe fn put<const KEY: usize, const KIND: u8>(
        &self,
        key: &[u8; KEY],
        value: NonNull<u8>,
        flags: u64,
        cpu: u32,
    ) -> Result<(), Errno> {
        if flags > update::BPF_EXIST {
            return Err(Errno::EINVAL);
        }
        let hash = self.hasher.hash(key);
        let spare = self.spares.get(cpu as usize).ok_or(Errno::EINVAL)?;
        if KIND & kind::PERCPU != 0 {
            // SAFETY: the caller's promise.
            return unsafe { self.put_own(key, hash, value, flags, cpu) };
        }
        let new = match spare.0.load(Ordering::Relaxed) {
            0 => self.take()?,
            kept => {
                if KIND & kind::LRU != 0 {
                    self.make_room();
                }
                kept - 1
            }
        };
        // A reader that still compares this element for its old bucket must see that bucket's new
        // sequence number, when it sees any of the bytes that follow.
        fence(Ordering::Release);
        // SAFETY: the element is this CPU's; the value has this size, and follows the key.
        unsafe {
            let at = self.pool.key(new);
            bytes::write_key(at, key);
            let to = at.add(KEY.next_multiple_of(8));
            bytes::copy(value, to, self.base.def().value_size as usize);
        }
        let mut kept = new + 1;
        let locked = self.table.lock(hash);
        let result = if flags == update::BPF_ANY
            && let Some(old) = locked.exchange(self.same_sized(key), new)
        {
            if KIND & kind::LRU != 0
                && let Some(recency) = &self.recency
            {
                recency.replace(old, new, hash);
            }
            kept = old + 1;
            Ok(())
        } else {
            // What is left is rarer.
            let linked = self.link_locked(&locked, hash, key, flags, new);
            linked.map(|old| kept = old.map_or(0, |old| old + 1))
        };
        drop(locked);
        spare.0.store(kept, Ordering::Relaxed);
        result
    }

    /// [`HashMap::put`] where each CPU has a value of its own: an element that is there is changed in
    /// place, by nobody else.
    ///
    /// # Safety
    /// As for [`HashMap::put`].
    #[inline(always)]
    unsafe fn put_own<const KEY: usize>(
        &self,
        key: &[u8; KEY],
        hash: u64,
        value: NonNull<u8>,
        flags: u64,
        cpu: u32,
    ) -> Result<(), Errno> {
        let size = self.base.def().value_size as usize;
        {
            let locked = self.table.lock(hash);
            match locked.find(self.same_sized(key)) {
                Some(_) if flags == update::BPF_NOEXIST => return Err(Errno::EEXIST),
                Some(old) => {
                    // SAFETY: elements have values of this size for each CPU.
                    unsafe { bytes::copy(value, self.pool.plane_value(old, cpu), size) };
                    return Ok(());
                }
                None => {}
            }
        }
        // New ones are rare, and have zeros for all other CPUs.
        let mut copy = vec![0; size];
        // SAFETY: the caller's promise.
        unsafe { bytes::read(value, &mut copy) };
        self.update(key, &copy, flags, cpu)
    }

    /// [`crate::Map::delete`].
    ///
    /// # Safety
    /// As for [`HashMap::put`].
    #[inline(always)]
    pub unsafe fn remove<const KEY: usize>(&self, key: &[u8; KEY], cpu: u32) -> Result<(), Errno> {
        let locked = self.table.lock(self.hasher.hash(key));
        let element = locked.take(self.same_sized(key)).ok_or(Errno::ENOENT)?;
        self.unlinked(&locked, element);
        drop(locked);
        match self.spares.get(cpu as usize) {
            Some(spare) if spare.0.load(Ordering::Relaxed) == 0 => {
                spare.0.store(element + 1, Ordering::Relaxed);
            }
            _ => self.pool.give(element),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use panal_uapi::MapType;

    use super::*;
    use crate::{Cage, Cpus, Map, MapDef, MapHost};

    const PLAIN: u8 = kind::PLAIN;
    const KEYS: u32 = 24;
    const ROUNDS: u32 = if cfg!(miri) { 50 } else { 40_000 };

    /// Programs on two CPUs and user space change the same few keys while readers look: values are
    /// whole, and in the end no element is lost or used twice.
    #[test]
    fn cpus_and_user_space_change_the_same_keys() {
        let host = MapHost::new(Cage::new(1 << 24).unwrap(), Arc::new(Cpus::new(2)));
        let def = MapDef::new(MapType::Hash, 4, 8, KEYS);
        let map = HashMap::new(&host, &def).unwrap();
        assert!(map.is_quick());
        let value_of =
            |key: u32, round: u32| u64::from(key) << 32 | u64::from(!key ^ (round & 0xff));
        let is_value = |value: u64| {
            let key = (value >> 32) as u32;
            key < KEYS && (value as u32 ^ !key) < 0x100
        };
        let scratch = host.cage.allocate(64, 64).unwrap();
        std::thread::scope(|scope| {
            for number in 0..2u32 {
                let (map, host, scratch) = (&map, &host, &scratch);
                scope.spawn(move || {
                    let on = host.cpus.enter_at(number).unwrap();
                    for round in 0..ROUNDS {
                        let key = round.wrapping_mul(2_654_435_761) >> 13;
                        let key = (key + number) % KEYS;
                        // SAFETY: eight bytes of this thread's; keys have four; the CPU is held.
                        unsafe {
                            let value = scratch.pointer().add(number as usize * 8);
                            bytes::write(value, &value_of(key, round).to_ne_bytes());
                            let (name, cpu) = (key.to_ne_bytes(), on.index());
                            let done = match round % 5 {
                                0 => map.remove(&name, cpu),
                                flags @ 1..3 => {
                                    map.put::<4, PLAIN>(&name, value, u64::from(flags), cpu)
                                }
                                _ => map.put::<4, PLAIN>(&name, value, 0, cpu),
                            };
                            let refused = [Errno::ENOENT, Errno::EEXIST, Errno::E2BIG];
                            assert!(done.is_ok() || refused.contains(&done.unwrap_err()));
                            if let Some(at) = map.value_of::<4, { kind::PLAIN }>(&name, cpu) {
                                let mut found = [0; 8];
                                bytes::read(at, &mut found);
                                assert!(is_value(u64::from_ne_bytes(found)));
                            }
                        }
                    }
                });
            }
            for round in 0..ROUNDS {
                let key = round % KEYS;
                let name = key.to_ne_bytes();
                let _ = match round % 3 {
                    0 => map.delete(&name),
                    _ => map.user_update(&name, &value_of(key, round).to_ne_bytes(), 0),
                };
            }
        });
        let found = (0..KEYS).filter(|key| map.lookup(&key.to_ne_bytes(), 0).is_some());
        assert_eq!(found.count(), map.len() as usize);
        for key in 0..KEYS {
            let _ = map.delete(&key.to_ne_bytes());
        }
        // All places are there, each once.
        let mut places = std::collections::HashSet::new();
        let on = host.cpus.enter(0);
        for key in 100..100 + KEYS {
            let name = key.to_ne_bytes();
            // SAFETY: as above.
            unsafe {
                assert_eq!(
                    map.put::<4, PLAIN>(&name, scratch.pointer(), 0, on.index()),
                    Ok(())
                );
            }
            assert!(places.insert(map.lookup(&name, 0).unwrap()));
        }
        // SAFETY: as above.
        let more = unsafe { map.put::<4, PLAIN>(&[0xff; 4], scratch.pointer(), 0, on.index()) };
        assert_eq!(more, Err(Errno::E2BIG));
    }
}
