//! Who owns which bytes of the cage: size classes for small pieces, page extents for the rest.
//!
//! All bookkeeping lives outside the cage, where no program can reach it.

use std::collections::BTreeMap;

/// Smallest piece.
const LEAST: u64 = 16;
/// Largest piece that comes from a size class.
const MOST: u64 = 16 << 10;
/// Size classes are powers of two from `LEAST` to `MOST`, each aligned to itself.
const CLASSES: usize = (MOST.ilog2() - LEAST.ilog2() + 1) as usize;
/// Bytes that a size class takes at once.
const SLAB: u64 = 64 << 10;

/// A piece of the cage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Bytes from the cage's base.
    pub offset: u64,
    /// Bytes, rounded up.
    pub len: u64,
    /// Whether it consists of whole pages.
    pub pages: bool,
    /// Whether it may hold old bytes.
    pub dirty: bool,
}

/// The allocator's state.
pub(crate) struct Space {
    page: u64,
    /// Free page extents: offset to length and whether they are dirty. Neighbours of one kind are
    /// joined.
    free: BTreeMap<u64, (u64, bool)>,
    /// Free pieces by class: offset, dirty.
    classes: [Vec<(u64, bool)>; CLASSES],
    allocated: u64,
}

fn class_of(len: u64) -> usize {
    (len.max(LEAST).next_power_of_two().ilog2() - LEAST.ilog2()) as usize
}

impl Space {
    /// All of the cage but its first page: offset 0 is nobody's.
    pub fn new(size: u64, page: u32) -> Space {
        let page = u64::from(page);
        Space {
            page,
            free: BTreeMap::from([(page, (size - page, false))]),
            classes: Default::default(),
            allocated: 0,
        }
    }

    pub fn allocated(&self) -> u64 {
        self.allocated
    }

    /// Takes `len` bytes aligned to `align`, a power of two not above a page.
    pub fn take(&mut self, len: u64, align: u32) -> Option<Extent> {
        let wanted = len.max(u64::from(align)).max(1);
        if wanted > MOST {
            return self.take_pages(wanted);
        }
        let class = class_of(wanted);
        let size = LEAST << class;
        if self.classes[class].is_empty() {
            let slab = self
                .carve(SLAB)
                .or_else(|| self.carve(MOST.max(self.page)))?;
            let mut offset = slab.offset + slab.len;
            while offset > slab.offset {
                offset -= size;
                self.classes[class].push((offset, slab.dirty));
            }
        }
        let (offset, dirty) = self.classes[class].pop()?;
        self.allocated += size;
        Some(Extent {
            offset,
            len: size,
            pages: false,
            dirty,
        })
    }

    /// Takes whole pages.
    pub fn take_pages(&mut self, len: u64) -> Option<Extent> {
        let extent = self.carve(len.checked_next_multiple_of(self.page)?)?;
        self.allocated += extent.len;
        Some(extent)
    }

    /// First fit.
    fn carve(&mut self, len: u64) -> Option<Extent> {
        let (&offset, &(room, dirty)) = self.free.iter().find(|(_, (room, _))| *room >= len)?;
        self.free.remove(&offset);
        if room > len {
            self.free.insert(offset + len, (room - len, dirty));
        }
        Some(Extent {
            offset,
            len,
            pages: true,
            dirty,
        })
    }

    /// Takes an extent back.
    pub fn put(&mut self, extent: Extent) {
        self.allocated -= extent.len;
        if !extent.pages {
            self.classes[class_of(extent.len)].push((extent.offset, true));
            return;
        }
        let (mut offset, mut len, dirty) = (extent.offset, extent.len, extent.dirty);
        if let Some((&before, &(room, d))) = self.free.range(..offset).next_back()
            && before + room == offset
            && d == dirty
        {
            self.free.remove(&before);
            offset = before;
            len += room;
        }
        if let Some(&(room, d)) = self.free.get(&(offset + len))
            && d == dirty
        {
            self.free.remove(&(offset + len));
            len += room;
        }
        self.free.insert(offset, (len, dirty));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// No two live pieces overlap, each is aligned and inside, and all returns in the end.
        #[test]
        fn pieces_are_disjoint(requests in prop::collection::vec((1u64..40_000, 0u32..7, any::<bool>()), 1..80)) {
            let mut space = Space::new(1 << 21, 4096);
            let mut live: Vec<Extent> = Vec::new();
            for (len, align, free) in requests {
                if free && !live.is_empty() {
                    let gone = live.swap_remove(len as usize % live.len());
                    space.put(gone);
                    continue;
                }
                let align = 8u32 << align;
                let Some(e) = space.take(len, align) else { continue };
                prop_assert!(e.len >= len && e.offset >= 4096 && e.offset + e.len <= 1 << 21);
                prop_assert_eq!(e.offset % u64::from(align), 0);
                for other in &live {
                    prop_assert!(e.offset + e.len <= other.offset || other.offset + other.len <= e.offset);
                }
                live.push(e);
            }
            let sum: u64 = live.iter().map(|e| e.len).sum();
            prop_assert_eq!(space.allocated(), sum);
            for e in live {
                space.put(e);
            }
            prop_assert_eq!(space.allocated(), 0);
        }
    }
}
