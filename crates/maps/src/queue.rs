//! `BPF_MAP_TYPE_QUEUE` and `BPF_MAP_TYPE_STACK`: values without keys.

use std::{
    any::Any,
    ptr::NonNull,
    sync::{Mutex, PoisonError},
};

use panal_uapi::{Errno, MapType, kernel::MapFlags, kernel::update};

use crate::{
    CreateError, Map, MapBase, MapDef, bytes,
    def::{ACCESS_FLAGS, check_flags, check_not_zero},
};

/// Values in a ring, oldest first.
struct Ring {
    /// Grows with use up to the capacity.
    bytes: Vec<u8>,
    /// Values that there is memory for.
    slots: usize,
    first: usize,
    count: usize,
}

/// A queue or a stack. No program gets a pointer into it: values are copied in and out.
pub struct Queue {
    base: MapBase,
    ring: Mutex<Ring>,
    size: usize,
    capacity: usize,
    last_in_first_out: bool,
}

impl Queue {
    /// Creates one (`queue_stack_map_alloc_check`).
    pub fn new(def: &MapDef) -> Result<Queue, CreateError> {
        check_flags(def, MapFlags::NUMA_NODE | ACCESS_FLAGS)?;
        check_not_zero(&[
            ("max_entries", def.max_entries),
            ("value_size", def.value_size),
        ])?;
        if def.key_size != 0 {
            return Err(CreateError::invalid("a queue or stack has no keys"));
        }
        if def.value_size > 4 << 20 {
            return Err(CreateError::new(Errno::E2BIG, "value_size above 4 MiB"));
        }
        let (size, capacity) = (def.value_size as usize, def.max_entries as usize);
        // Linux takes all memory at once; what it could not have is refused here too.
        size.checked_mul(capacity)
            .filter(|&len| len <= 1 << 32)
            .ok_or_else(CreateError::no_memory)?;
        Ok(Queue {
            base: MapBase::new(def.clone()),
            ring: Mutex::new(Ring {
                bytes: Vec::new(),
                slots: 0,
                first: 0,
                count: 0,
            }),
            size,
            capacity,
            last_in_first_out: def.map_type == MapType::Stack,
        })
    }

    fn ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, out: &mut [u8], remove: bool) -> Result<(), Errno> {
        if out.len() != self.size {
            return Err(Errno::EINVAL);
        }
        let mut ring = self.ring();
        if ring.count == 0 {
            out.fill(0);
            return Err(Errno::ENOENT);
        }
        let slot = self.next(&ring);
        out.copy_from_slice(self.value(&ring, slot));
        if remove {
            self.remove(&mut ring);
        }
        Ok(())
    }

    /// The slot of the value that goes next; there is one.
    #[inline]
    fn next(&self, ring: &Ring) -> usize {
        match self.last_in_first_out {
            true => ring.at(ring.count - 1),
            false => ring.first,
        }
    }

    #[inline]
    fn value<'a>(&self, ring: &'a Ring, slot: usize) -> &'a [u8] {
        &ring.bytes[slot * self.size..(slot + 1) * self.size]
    }

    #[inline]
    fn remove(&self, ring: &mut Ring) {
        if !self.last_in_first_out {
            ring.first = ring.at(1);
        }
        ring.count -= 1;
    }

    /// Where the next value is written, with room made for it.
    #[inline]
    fn room<'a>(&self, ring: &'a mut Ring, flags: u64) -> Result<&'a mut [u8], Errno> {
        if !matches!(flags, update::BPF_ANY | update::BPF_EXIST) {
            return Err(Errno::EINVAL);
        }
        if ring.count == self.capacity {
            if flags != update::BPF_EXIST {
                return Err(Errno::E2BIG);
            }
            // The oldest makes room.
            ring.first = ring.at(1);
            ring.count -= 1;
        }
        if ring.count == ring.slots {
            ring.grow(self.size, self.capacity)?;
        }
        let slot = ring.at(ring.count);
        ring.count += 1;
        Ok(&mut ring.bytes[slot * self.size..(slot + 1) * self.size])
    }

    /// [`Map::push`] of a value in the cage.
    ///
    /// # Safety
    /// The value is mapped readable for the size of values.
    pub unsafe fn push_from(&self, value: NonNull<u8>, flags: u64) -> Result<(), Errno> {
        let mut ring = self.ring();
        let room = self.room(&mut ring, flags)?;
        // SAFETY: the caller's promise; the room is of a value's size.
        unsafe { bytes::read(value, room) };
        Ok(())
    }

    /// [`Map::pop`], or [`Map::peek`] where nothing is removed, into the cage.
    ///
    /// # Safety
    /// `to` is mapped writable for the size of values.
    pub unsafe fn take_to(&self, to: NonNull<u8>, remove: bool) -> Result<(), Errno> {
        let mut ring = self.ring();
        if ring.count == 0 {
            drop(ring);
            // SAFETY: the caller's promise.
            unsafe { bytes::zero(to, self.size) };
            return Err(Errno::ENOENT);
        }
        // SAFETY: the caller's promise.
        unsafe { bytes::write(to, self.value(&ring, self.next(&ring))) };
        if remove {
            self.remove(&mut ring);
        }
        Ok(())
    }
}

impl Ring {
    /// The slot of the value after the first `n`, at most as many as there are slots.
    #[inline]
    fn at(&self, n: usize) -> usize {
        let slot = self.first + n;
        match slot >= self.slots {
            true => slot - self.slots,
            false => slot,
        }
    }

    /// Makes room for more values.
    fn grow(&mut self, size: usize, capacity: usize) -> Result<(), Errno> {
        let slots = (2 * self.count).clamp(8.min(capacity), capacity);
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(slots * size)
            .map_err(|_| Errno::ENOMEM)?;
        // In order, oldest first.
        let (front, back) = self.bytes.split_at(self.first * size);
        bytes.extend_from_slice(back);
        bytes.extend_from_slice(front);
        bytes.resize(slots * size, 0);
        self.bytes = bytes;
        self.slots = slots;
        self.first = 0;
        Ok(())
    }
}

impl Map for Queue {
    fn base(&self) -> &MapBase {
        &self.base
    }

    fn lookup(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn update(&self, _key: &[u8], _value: &[u8], _flags: u64, _cpu: u32) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn delete(&self, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn push(&self, value: &[u8], flags: u64) -> Result<(), Errno> {
        if value.len() != self.size {
            return Err(Errno::EINVAL);
        }
        let mut ring = self.ring();
        self.room(&mut ring, flags)?.copy_from_slice(value);
        Ok(())
    }

    fn pop(&self, out: &mut [u8]) -> Result<(), Errno> {
        self.get(out, true)
    }

    fn peek(&self, out: &mut [u8]) -> Result<(), Errno> {
        self.get(out, false)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        (self.size * self.capacity) as u64
    }
}
