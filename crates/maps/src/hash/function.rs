//! The hash function: folded multiplication under a secret seed.

use std::hash::{BuildHasher, RandomState};

const A: u64 = 0xa076_1d64_78bd_642f;
const B: u64 = 0xe703_7ed1_a0b4_28db;
const C: u64 = 0x8ebc_6af0_9c88_c6e3;

/// Hashes keys of one map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hasher {
    /// What words are multiplied with: nobody outside can know a key that makes the product small.
    secret: u64,
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[inline(always)]
fn u64_at(b: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    let part = b.get(at..).unwrap_or_default();
    let n = part.len().min(8);
    word[..n].copy_from_slice(&part[..n]);
    u64::from_le_bytes(word)
}

impl Hasher {
    /// A hasher with a seed of chance, or without one (`BPF_F_ZERO_SEED`).
    pub fn new(zero_seed: bool) -> Hasher {
        Hasher::with_seed(if zero_seed {
            0
        } else {
            RandomState::new().hash_one(A)
        })
    }

    /// A hasher with this seed: the bloom filter has several.
    pub fn with_seed(seed: u64) -> Hasher {
        Hasher { secret: seed ^ B }
    }

    /// The hash of a key: one multiplication for every 16 bytes. A key of a length that is known
    /// when this is compiled has neither loops nor comparisons.
    #[inline(always)]
    pub fn hash(&self, key: &[u8]) -> u64 {
        if key.len() <= 8 {
            return fold(u64_at(key, 0) ^ A, self.secret ^ (key.len() as u64) << 1);
        }
        let mut state = self.secret ^ (key.len() as u64) << 1;
        let mut chunks = key.chunks_exact(16);
        for chunk in &mut chunks {
            state = fold(u64_at(chunk, 0) ^ A, u64_at(chunk, 8) ^ state).wrapping_add(C);
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            state = fold(u64_at(rest, 0) ^ A, u64_at(rest, 8) ^ state);
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most keys of 16,384 in one of 1024 buckets, and with one of 256 tags.
    fn most_together(hasher: Hasher, size: usize, shift: u32) -> (u32, u32) {
        let mut buckets = [0u32; 1024];
        let mut tags = [0u32; 256];
        for i in 0..16_384u64 {
            let mut key = vec![0; size];
            let n = size.min(8);
            key[..n].copy_from_slice(&(i << shift).to_le_bytes()[..n]);
            let hash = hasher.hash(&key);
            buckets[hash as usize & 1023] += 1;
            tags[(hash >> 56) as usize] += 1;
        }
        let most = |counts: &[u32]| counts.iter().copied().max().unwrap();
        (most(&buckets), most(&tags))
    }

    /// Sequential keys and keys that differ in a few bits spread over a table as random numbers would:
    /// with few seeds only does a bucket get more than a few times its share.
    #[test]
    fn regular_keys_spread() {
        const SEEDS: u64 = 16;
        for size in [4usize, 8, 12, 16, 20, 40] {
            for shift in [0u32, 8, 12, 16] {
                let crowded = (1..=SEEDS)
                    .map(|i| Hasher::with_seed(i.wrapping_mul(A).rotate_left(i as u32)))
                    .map(|hasher| most_together(hasher, size, shift))
                    .filter(|&(bucket, tag)| bucket >= 60 || tag >= 160)
                    .count();
                assert!(
                    crowded <= 2,
                    "size {size} shift {shift}: crowded with {crowded} of {SEEDS} seeds"
                );
            }
        }
    }

    #[test]
    fn length_counts() {
        let h = Hasher::with_seed(1);
        assert_ne!(h.hash(&[0; 9]), h.hash(&[0; 10]));
        assert_ne!(h.hash(&[0; 16]), h.hash(&[0; 32]));
    }
}
