//! The index of a hash map: buckets of eight elements in a cache line each.
//!
//! Readers take no lock: a bucket's sequence number tells them when they have to look again.
//! Writers lock one bucket. All of it lies outside the cage; the cage has only keys and values.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence},
};

use crate::{
    wait::Wait,
    zeroed::{Zero, zeroed},
};

/// Elements in a bucket.
const WIDTH: usize = 8;
/// The lowest and the highest bit of each byte of a word.
const LOWEST: u64 = 0x0101_0101_0101_0101;
const HIGHEST: u64 = LOWEST << 7;

/// Eight elements: a byte of their hashes each, and their numbers. `0` is an empty place.
#[repr(C, align(64))]
struct Bucket {
    /// Odd while a writer is at work. Only the first bucket of a chain uses it.
    sequence: AtomicU32,
    tags: AtomicU64,
    /// Element number plus one.
    elements: [AtomicU32; WIDTH],
    /// Where the chain goes on.
    next: AtomicPtr<Bucket>,
}

// SAFETY: zero is an empty bucket: atomics of integers, and a null pointer.
unsafe impl Zero for Bucket {}

/// A writer was at work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Busy;

/// The table.
pub(super) struct Table {
    buckets: Box<[Bucket]>,
    mask: u64,
    /// Buckets that chains went on to; they live as long as the table.
    more: Mutex<Vec<Box<[Bucket]>>>,
}

/// A place of the table: bucket of the chain, and index in it.
#[derive(Clone, Copy)]
struct Place<'a> {
    bucket: &'a Bucket,
    index: usize,
}

/// Never 0, which marks an empty place.
#[inline(always)]
fn tag_of(hash: u64) -> u8 {
    (hash >> 57) as u8 | 0x80
}

/// Marks the bytes of `tags` that equal `tag` by their highest bit; a byte just above an equal one
/// may be marked wrongly.
#[inline(always)]
fn matches(tags: u64, tag: u8) -> u64 {
    let x = tags ^ (LOWEST * u64::from(tag));
    x.wrapping_sub(LOWEST) & !x & HIGHEST
}

impl Table {
    /// A table for so many elements; `None` when there is no memory.
    pub fn new(max_entries: u32) -> Option<Table> {
        let count = (max_entries as usize).div_ceil(4).next_power_of_two();
        Some(Table {
            buckets: zeroed(count)?,
            mask: count as u64 - 1,
            more: Mutex::new(Vec::new()),
        })
    }

    pub fn memory(&self) -> u64 {
        self.buckets.len() as u64 * size_of::<Bucket>() as u64
    }

    #[inline(always)]
    fn head(&self, hash: u64) -> &Bucket {
        // SAFETY: the mask is the number of buckets, a power of two, minus one.
        unsafe { self.buckets.get_unchecked((hash & self.mask) as usize) }
    }

    /// The element of this hash for which `same` holds. `same` may be called for elements that are
    /// being changed; its answer is dropped then.
    #[inline(always)]
    pub fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        loop {
            match self.try_find(hash, &same) {
                Ok(found) => return found,
                Err(Busy) => pause(self.head(hash)),
            }
        }
    }

    /// [`Table::find`], once.
    #[inline(always)]
    pub fn try_find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Result<Option<u32>, Busy> {
        let head = self.head(hash);
        let sequence = head.sequence.load(Ordering::Acquire);
        if sequence & 1 != 0 {
            return Err(Busy);
        }
        let found = find_in(head, tag_of(hash), same).map(|(_, number)| number);
        fence(Ordering::Acquire);
        match head.sequence.load(Ordering::Relaxed) == sequence {
            true => Ok(found),
            false => Err(Busy),
        }
    }

    /// Locks the bucket of this hash.
    #[inline(always)]
    pub fn lock(&self, hash: u64) -> Locked<'_> {
        let head = self.head(hash);
        loop {
            let sequence = head.sequence.load(Ordering::Relaxed);
            if sequence & 1 == 0
                && head
                    .sequence
                    .compare_exchange_weak(
                        sequence,
                        sequence.wrapping_add(1),
                        Ordering::Acquire,
                        Ordering::Relaxed,
                    )
                    .is_ok()
            {
                // Whoever sees what the writer writes sees the odd number first.
                fence(Ordering::Release);
                return Locked {
                    table: self,
                    head,
                    tag: tag_of(hash),
                };
            }
            pause(head);
        }
    }

    /// The first element at or after a position, with its position. Positions count bucket by
    /// bucket; the order is stable while nothing is added or removed.
    pub fn next_from(&self, position: Position) -> Option<(Position, u32)> {
        let Position {
            bucket: start,
            place,
        } = position;
        let mut skip = place;
        for (number, head) in self.buckets.iter().enumerate().skip(start) {
            let mut index = 0;
            let mut bucket = Some(head);
            while let Some(b) = bucket {
                for element in &b.elements {
                    let element = element.load(Ordering::Acquire);
                    if element != 0 && index >= skip {
                        return Some((
                            Position {
                                bucket: number,
                                place: index,
                            },
                            element - 1,
                        ));
                    }
                    index += 1;
                }
                bucket = follow(b);
            }
            skip = 0;
        }
        None
    }

    /// Where the element of this hash for which `same` holds stands.
    pub fn position(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<Position> {
        let number = (hash & self.mask) as usize;
        let wanted = self.find(hash, same)?;
        let mut index = 0;
        let mut bucket = Some(self.head(hash));
        while let Some(b) = bucket {
            for element in &b.elements {
                if element.load(Ordering::Relaxed) == wanted + 1 {
                    return Some(Position {
                        bucket: number,
                        place: index,
                    });
                }
                index += 1;
            }
            bucket = follow(b);
        }
        None
    }

    fn extend(&self) -> Option<*mut Bucket> {
        let mut more = zeroed::<Bucket>(1)?;
        let pointer = more.as_mut_ptr();
        self.more
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(more);
        Some(pointer)
    }
}

/// A place in the order of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    bucket: usize,
    place: usize,
}

impl Position {
    /// The one after.
    pub fn after(self) -> Position {
        Position {
            bucket: self.bucket,
            place: self.place + 1,
        }
    }
}

#[inline(always)]
fn follow(b: &Bucket) -> Option<&Bucket> {
    let next = b.next.load(Ordering::Acquire);
    // SAFETY: null or a bucket of `Table::more`, which lives as long as the table.
    unsafe { next.as_ref() }
}

#[inline(always)]
fn find_in<'a>(head: &'a Bucket, tag: u8, same: impl Fn(u32) -> bool) -> Option<(Place<'a>, u32)> {
    let mut bucket = head;
    loop {
        let mut candidates = matches(bucket.tags.load(Ordering::Relaxed), tag);
        while candidates != 0 {
            let index = candidates.trailing_zeros() as usize / 8;
            let element = bucket.elements[index & (WIDTH - 1)].load(Ordering::Acquire);
            if element != 0 && same(element - 1) {
                return Some((Place { bucket, index }, element - 1));
            }
            candidates &= candidates - 1;
        }
        bucket = follow(bucket)?;
    }
}

/// Waits for a writer, which may have lost its processor.
#[cold]
#[inline(never)]
fn pause(head: &Bucket) {
    let mut wait = Wait::default();
    while head.sequence.load(Ordering::Relaxed) & 1 != 0 {
        wait.a_moment();
    }
}

/// A locked bucket.
pub(super) struct Locked<'a> {
    table: &'a Table,
    head: &'a Bucket,
    tag: u8,
}

impl<'a> Locked<'a> {
    /// The element for which `same` holds.
    #[inline(always)]
    pub fn find(&self, same: impl Fn(u32) -> bool) -> Option<u32> {
        find_in(self.head, self.tag, same).map(|(_, element)| element)
    }

    /// Puts an element in the place of the one of the same hash for which `same` holds: that one.
    #[inline(always)]
    pub fn exchange(&self, same: impl Fn(u32) -> bool, new: u32) -> Option<u32> {
        let (place, old) = find_in(self.head, self.tag, same)?;
        place.bucket.elements[place.index & (WIDTH - 1)].store(new + 1, Ordering::Release);
        Some(old)
    }

    /// Removes the element for which `same` holds: that one.
    #[inline(always)]
    pub fn take(&self, same: impl Fn(u32) -> bool) -> Option<u32> {
        let (place, old) = find_in(self.head, self.tag, same)?;
        let tags = place.bucket.tags.load(Ordering::Relaxed);
        let tags = tags & !(0xff << (8 * place.index));
        place.bucket.tags.store(tags, Ordering::Relaxed);
        place.bucket.elements[place.index & (WIDTH - 1)].store(0, Ordering::Release);
        Some(old)
    }

    /// Puts one element in the place of another of the same hash; false if that is not there.
    pub fn replace(&self, old: u32, new: u32) -> bool {
        self.exchange(|e| e == old, new).is_some()
    }

    /// Removes an element; false if it is not there.
    pub fn remove(&self, old: u32) -> bool {
        self.take(|e| e == old).is_some()
    }

    /// Adds an element; false when there is no memory.
    #[inline]
    pub fn insert(&self, element: u32) -> bool {
        let mut bucket = self.head;
        loop {
            let tags = bucket.tags.load(Ordering::Relaxed);
            // The highest bit of every tag is set.
            let empty = !tags & HIGHEST;
            if empty != 0 {
                let index = (empty.trailing_zeros() as usize / 8) & (WIDTH - 1);
                bucket.elements[index].store(element + 1, Ordering::Release);
                bucket
                    .tags
                    .store(tags | u64::from(self.tag) << (8 * index), Ordering::Release);
                return true;
            }
            bucket = match follow(bucket) {
                Some(next) => next,
                None => {
                    let Some(next) = self.table.extend() else {
                        return false;
                    };
                    bucket.next.store(next, Ordering::Release);
                    // SAFETY: just made, owned by the table.
                    unsafe { &*next }
                }
            };
        }
    }
}

impl Drop for Locked<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let sequence = self.head.sequence.load(Ordering::Relaxed);
        self.head
            .sequence
            .store(sequence.wrapping_add(1), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_match_where_equal() {
        for tag in 1..=255u8 {
            for place in 0..8 {
                let tags = u64::from(tag) << (8 * place);
                assert_eq!(matches(tags, tag).trailing_zeros() / 8, place);
            }
            assert_eq!(matches(0, tag), 0);
        }
    }

    #[test]
    fn chains_grow_and_are_walked() {
        let table = Table::new(4).unwrap();
        // All in one bucket, half of them under one tag.
        let hash = |i: u32| u64::from(i % 2 + 1) << 56;
        for i in 0..40 {
            assert!(table.lock(hash(i)).insert(i));
        }
        for i in 0..40 {
            assert_eq!(table.find(hash(i), |e| e == i), Some(i));
        }
        assert!(table.lock(hash(7)).remove(7));
        assert_eq!(table.find(hash(7), |e| e == 7), None);
        let mut seen = Vec::new();
        let mut position = Position::default();
        while let Some((at, element)) = table.next_from(position) {
            seen.push(element);
            position = at.after();
        }
        seen.sort();
        assert_eq!(seen, (0..40).filter(|&i| i != 7).collect::<Vec<_>>());
    }
}
