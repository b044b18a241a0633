//! `BPF_MAP_TYPE_BLOOM_FILTER`: has this value perhaps been pushed?

use std::{
    any::Any,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use panal_uapi::{Errno, kernel::MapFlags, kernel::update};

use crate::{
    CreateError, Map, MapBase, MapDef,
    def::{ACCESS_FLAGS, check_flags, check_not_zero},
    hash::Hasher,
    zeroed::zeroed,
};

/// Hash functions where the definition names no number.
const HASHES: u32 = 5;
/// Most bits: the bit's number is 32 bits long.
const BITS_MOST: u64 = 1 << 32;

/// A bloom filter.
pub struct BloomFilter {
    base: MapBase,
    bits: Box<[AtomicU64]>,
    mask: u64,
    hasher: Hasher,
    hashes: u32,
}

impl BloomFilter {
    /// Creates one (`bloom_map_alloc`).
    pub fn new(def: &MapDef) -> Result<BloomFilter, CreateError> {
        check_flags(
            def,
            MapFlags::NUMA_NODE | MapFlags::ZERO_SEED | ACCESS_FLAGS,
        )?;
        check_not_zero(&[
            ("max_entries", def.max_entries),
            ("value_size", def.value_size),
        ])?;
        if def.key_size != 0 {
            return Err(CreateError::invalid("a bloom filter has no keys"));
        }
        if def.extra & !0xf != 0 {
            return Err(CreateError::invalid(
                "map_extra of a bloom filter: 0 to 15 hash functions",
            ));
        }
        let hashes = if def.extra == 0 {
            HASHES
        } else {
            def.extra as u32
        };
        // The size with the fewest wrong answers: entries * hashes / ln 2.
        let wanted = u64::from(def.max_entries) * u64::from(hashes) * 7 / 5;
        let bits = wanted.next_power_of_two().clamp(64, BITS_MOST);
        Ok(BloomFilter {
            base: MapBase::new(def.clone()),
            bits: zeroed((bits / 64) as usize).ok_or_else(CreateError::no_memory)?,
            mask: bits - 1,
            hasher: if def.flags.contains(MapFlags::ZERO_SEED) {
                Hasher::with_seed(0)
            } else {
                Hasher::new(false)
            },
            hashes,
        })
    }

    /// Whether a value was pushed, in all likelihood, or certainly not. Best where its size is known when
    /// this is compiled.
    #[inline(always)]
    pub fn has(&self, value: &[u8]) -> bool {
        self.places(value)
            .all(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// The words and bits of a value. Two halves of one hash make all the functions.
    #[inline(always)]
    fn places(&self, value: &[u8]) -> impl Iterator<Item = (&AtomicU64, u64)> {
        let hash = self.hasher.hash(value);
        let (start, step) = (hash, hash >> 32 | 1);
        (0..u64::from(self.hashes)).map(move |i| {
            let bit = start.wrapping_add(step.wrapping_mul(i)) & self.mask;
            (&self.bits[(bit / 64) as usize], 1 << (bit % 64))
        })
    }
}

impl Map for BloomFilter {
    fn base(&self) -> &MapBase {
        &self.base
    }

    fn lookup(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn update(&self, _key: &[u8], _value: &[u8], _flags: u64, _cpu: u32) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn push(&self, value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags != update::BPF_ANY || value.len() != self.base.def().value_size as usize {
            return Err(Errno::EINVAL);
        }
        for (word, bit) in self.places(value) {
            // Most bits are there already.
            if word.load(Ordering::Relaxed) & bit == 0 {
                word.fetch_or(bit, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn peek(&self, value: &mut [u8]) -> Result<(), Errno> {
        if value.len() != self.base.def().value_size as usize {
            return Err(Errno::EINVAL);
        }
        if self.has(value) {
            Ok(())
        } else {
            Err(Errno::ENOENT)
        }
    }

    fn next_key(&self, _key: Option<&[u8]>, _out: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        self.bits.len() as u64 * 8
    }
}
