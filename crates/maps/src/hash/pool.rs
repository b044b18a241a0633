//! Where a hash map's elements live: keys and values in the cage, the list of free ones outside.
//!
//! An element that was given back is handed out again at once and its memory is never unmapped
//! while the map lives, so that a program's pointer to it stays harmless.

use std::{
    ptr::NonNull,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use panal_uapi::Errno;

use crate::{Block, CreateError, MapHost, map::in_element, zeroed::zeroed};

/// What an element looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Bytes of a key, rounded up to 8.
    pub key: usize,
    /// Bytes of a value, rounded up to 8.
    pub value: usize,
    /// 1, or the number of CPUs: values stand in a plane of their own for each CPU then.
    pub planes: usize,
    /// Most elements.
    pub capacity: u32,
    /// All memory at once, or as elements are needed.
    pub preallocate: bool,
}

/// The elements.
pub(crate) struct Pool {
    shape: Shape,
    /// Elements of a segment as a power of two.
    shift: u32,
    /// Elements of a segment, for the planes.
    segment: usize,
    /// Bytes from one element to the next in the first part of a segment.
    stride: usize,
    /// Address of the only segment; 0 where there are several.
    whole: u64,
    /// Address of each segment, 0 while it is not there.
    addresses: Box<[AtomicU64]>,
    blocks: Mutex<Vec<Block>>,
    host: MapHost,
    /// Elements from here on were never used.
    fresh: AtomicU32,
    /// Head of the list of free elements: number plus one in the low half, a count in the high
    /// half that makes every change a different word.
    free: AtomicU64,
    next: Box<[AtomicU32]>,
}

/// Bytes that a segment of a map that grows should have at least.
const SEGMENT: usize = 64 << 10;

impl Pool {
    pub fn new(host: &MapHost, shape: Shape) -> Result<Pool, CreateError> {
        let stride = if shape.planes == 1 {
            shape.key + shape.value
        } else {
            shape.key
        };
        let bytes = shape.value * shape.planes + shape.key;
        let (shift, segment) = if shape.preallocate {
            (31, shape.capacity as usize)
        } else {
            let shift = (SEGMENT / bytes).max(1).ilog2();
            (shift, 1 << shift)
        };
        let segments = (shape.capacity as usize >> shift) + 1;
        let mut pool = Pool {
            shape,
            whole: 0,
            shift,
            segment,
            stride,
            addresses: zeroed(segments).ok_or_else(CreateError::no_memory)?,
            blocks: Mutex::new(Vec::new()),
            host: host.clone(),
            fresh: AtomicU32::new(0),
            free: AtomicU64::new(0),
            next: zeroed(shape.capacity as usize).ok_or_else(CreateError::no_memory)?,
        };
        if shape.preallocate {
            pool.back(0).map_err(|_| {
                CreateError::new(
                    Errno::ENOMEM,
                    format!(
                        "no {} bytes for {} elements in the cage",
                        bytes * segment,
                        shape.capacity
                    ),
                )
            })?;
            pool.whole = pool.addresses[0].load(Ordering::Relaxed);
        }
        Ok(pool)
    }

    pub fn memory(&self) -> u64 {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.iter().map(|b| b.len() as u64).sum()
    }

    /// Sees to it that a segment is there.
    fn back(&self, segment: usize) -> Result<(), Errno> {
        let address = self.addresses.get(segment).ok_or(Errno::ENOMEM)?;
        if address.load(Ordering::Acquire) != 0 {
            return Ok(());
        }
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if address.load(Ordering::Acquire) != 0 {
            return Ok(());
        }
        let values = if self.shape.planes == 1 {
            0
        } else {
            self.shape.value * self.shape.planes
        };
        let len = (self.stride + values)
            .checked_mul(self.segment)
            .ok_or(Errno::ENOMEM)?;
        let block = self
            .host
            .cage
            .allocate(len, 64)
            .map_err(|_| Errno::ENOMEM)?;
        address.store(block.address(), Ordering::Release);
        blocks.push(block);
        Ok(())
    }

    /// Takes a free element; `E2BIG` when there is none, `ENOMEM` when the cage is full.
    #[inline]
    pub fn take(&self) -> Result<u32, Errno> {
        loop {
            let head = self.free.load(Ordering::Acquire);
            let number = head as u32;
            if number == 0 {
                break;
            }
            let next = self.next[number as usize - 1].load(Ordering::Relaxed);
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(next);
            if self
                .free
                .compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return Ok(number - 1);
            }
        }
        let mut number = self.fresh.load(Ordering::Relaxed);
        loop {
            if number >= self.shape.capacity {
                return Err(Errno::E2BIG);
            }
            self.back(number as usize >> self.shift)?;
            match self.fresh.compare_exchange_weak(
                number,
                number + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(number),
                Err(seen) => number = seen,
            }
        }
    }

    /// Gives an element back that nobody finds any more.
    #[inline]
    pub fn give(&self, number: u32) {
        let mut head = self.free.load(Ordering::Relaxed);
        loop {
            self.next[number as usize].store(head as u32, Ordering::Relaxed);
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(number + 1);
            match self
                .free
                .compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// Address of the first byte of a segment.
    #[inline(always)]
    fn segment_of(&self, number: u32) -> (u64, usize) {
        if self.whole != 0 {
            return (self.whole, number as usize);
        }
        let segment = number as usize >> self.shift;
        // SAFETY: numbers come from `take`, so that the segment is there.
        let address = unsafe { self.addresses.get_unchecked(segment) }.load(Ordering::Relaxed);
        (address, number as usize & ((1 << self.shift) - 1))
    }

    /// Where an element's key is. The number must have come from [`Pool::take`].
    #[inline(always)]
    pub fn key(&self, number: u32) -> NonNull<u8> {
        let (address, index) = self.segment_of(number);
        // SAFETY: inside a block of the pool, hence not null.
        unsafe { NonNull::new_unchecked((address as usize + index * self.stride) as *mut u8) }
    }

    /// Where an element's value is, of the first plane where there are several.
    #[inline(always)]
    pub fn value(&self, number: u32) -> NonNull<u8> {
        if self.shape.planes == 1 {
            // SAFETY: the value follows the key in the same block.
            return unsafe { self.key(number).add(self.shape.key) };
        }
        self.plane_value(number, 0)
    }

    /// Where an element's value for a plane (a CPU) is.
    #[inline(always)]
    pub fn plane_value(&self, number: u32, plane: u32) -> NonNull<u8> {
        let mut plane = plane as usize;
        // Callers hold a CPU of this host: there is a plane for it.
        if plane >= self.shape.planes {
            plane = 0;
        }
        if self.shape.planes == 1 {
            return self.value(number);
        }
        let (address, index) = self.segment_of(number);
        let values = address as usize + self.stride * self.segment;
        let offset = (plane * self.segment + index) * self.shape.value;
        // SAFETY: inside a block of the pool, hence not null.
        unsafe { NonNull::new_unchecked((values + offset) as *mut u8) }
    }
}

impl Pool {
    /// Whether an access lies in the value of an element, of this size, or for reads in a key.
    pub fn holds(&self, value_size: u64, address: u64, len: u64, write: bool) -> bool {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let (stride, count) = (self.stride as u64, self.segment as u64);
        let key = self.shape.key as u64;
        blocks.iter().any(|block| {
            let base = block.address();
            if !write && in_element(base, stride, count, key, address, len) {
                return true;
            }
            if self.shape.planes == 1 {
                return in_element(base + key, stride, count, value_size, address, len);
            }
            let (values, step) = (base + stride * count, self.shape.value as u64);
            let count = count * self.shape.planes as u64;
            in_element(values, step, count, value_size, address, len)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cage, Cpus};
    use std::{collections::HashSet, sync::Arc};

    #[test]
    fn elements_are_disjoint_and_reused() {
        let host = MapHost::new(Cage::new(1 << 24).unwrap(), Arc::new(Cpus::new(3)));
        for preallocate in [false, true] {
            for planes in [1, 3] {
                let shape = Shape {
                    key: 8,
                    value: 24,
                    planes,
                    capacity: 5000,
                    preallocate,
                };
                let pool = Pool::new(&host, shape).unwrap();
                let mut places = HashSet::new();
                for i in 0..5000 {
                    let n = pool.take().unwrap();
                    assert_eq!(n, i);
                    assert!(places.insert(pool.key(n).as_ptr() as usize));
                    for plane in 0..planes as u32 {
                        let v = pool.plane_value(n, plane).as_ptr() as usize;
                        for word in 0..3 {
                            assert!(places.insert(v + 8 * word));
                        }
                    }
                }
                assert_eq!(pool.take(), Err(Errno::E2BIG));
                pool.give(17);
                pool.give(4000);
                assert_eq!(pool.take(), Ok(4000));
                assert_eq!(pool.take(), Ok(17));
                assert_eq!(pool.take(), Err(Errno::E2BIG));
            }
        }
    }
}
