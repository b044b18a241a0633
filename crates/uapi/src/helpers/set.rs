//! Sets of helpers.

use super::COUNT;

const WORDS: usize = COUNT.div_ceil(64);

/// A set of helpers by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HelperSet([u64; WORDS]);

impl HelperSet {
    /// No helper.
    pub const EMPTY: HelperSet = HelperSet([0; WORDS]);

    /// The helpers of these numbers; numbers that no helper has are a compile-time error in
    /// constants.
    pub const fn of(ids: &[u32]) -> Self {
        let mut words = [0; WORDS];
        let mut i = 0;
        while i < ids.len() {
            assert!((ids[i] as usize) < COUNT, "no such helper");
            words[(ids[i] / 64) as usize] |= 1 << (ids[i] % 64);
            i += 1;
        }
        HelperSet(words)
    }

    /// Either set's.
    pub const fn union(self, other: HelperSet) -> Self {
        let mut words = self.0;
        let mut i = 0;
        while i < WORDS {
            words[i] |= other.0[i];
            i += 1;
        }
        HelperSet(words)
    }

    /// This set's but not the other's.
    pub const fn without(self, other: HelperSet) -> Self {
        let mut words = self.0;
        let mut i = 0;
        while i < WORDS {
            words[i] &= !other.0[i];
            i += 1;
        }
        HelperSet(words)
    }
    /// Whether it has this helper.
    pub const fn contains(&self, id: u32) -> bool {
        (id as usize) < COUNT && self.0[(id / 64) as usize] >> (id % 64) & 1 == 1
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..COUNT as u32).filter(|&id| self.contains(id))
    }
}
