//! Which element of an LRU map has to go: a queue in order of arrival, with a second chance for
//! those that were looked up since they were last considered.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

use crate::zeroed::zeroed;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Link {
    newer: u32,
    older: u32,
    queued: bool,
}

struct Queue {
    links: Vec<Link>,
    newest: u32,
    oldest: u32,
}

/// The order of a map's elements.
pub(super) struct Recency {
    queue: Mutex<Queue>,
    /// Whether an element was used since it was last considered.
    used: Box<[AtomicU8]>,
    /// Each queued element's hash, so that its bucket is found without reading the cage.
    hashes: Box<[AtomicU64]>,
}

impl Recency {
    pub fn new(capacity: u32) -> Option<Recency> {
        Some(Recency {
            queue: Mutex::new(Queue {
                links: Vec::new(),
                newest: NONE,
                oldest: NONE,
            }),
            used: zeroed(capacity as usize)?,
            hashes: zeroed(capacity as usize)?,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an element was used.
    #[inline(always)]
    pub fn touch(&self, element: u32) {
        if let Some(used) = self.used.get(element as usize)
            && used.load(Ordering::Relaxed) == 0
        {
            used.store(1, Ordering::Relaxed);
        }
    }

    /// An element arrives.
    pub fn add(&self, element: u32, hash: u64) {
        self.hashes[element as usize].store(hash, Ordering::Relaxed);
        self.used[element as usize].store(0, Ordering::Relaxed);
        self.lock().push(element);
    }

    /// An element replaces another: it counts as used.
    pub fn replace(&self, old: u32, new: u32, hash: u64) {
        self.hashes[new as usize].store(hash, Ordering::Relaxed);
        self.used[new as usize].store(1, Ordering::Relaxed);
        let mut queue = self.lock();
        queue.remove(old);
        queue.push(new);
    }

    /// An element leaves.
    pub fn remove(&self, element: u32) {
        self.lock().remove(element);
    }

    /// Takes out the element that has to go, with its hash.
    pub fn victim(&self) -> Option<(u32, u64)> {
        let mut queue = self.lock();
        let mut rounds = 2 * queue.links.len();
        loop {
            let oldest = queue.oldest;
            if oldest == NONE {
                return None;
            }
            queue.remove(oldest);
            rounds = rounds.saturating_sub(1);
            // Others may set marks as fast as this clears them: then somebody has to go all the same.
            if self.used[oldest as usize].swap(0, Ordering::Relaxed) == 0 || rounds == 0 {
                return Some((oldest, self.hashes[oldest as usize].load(Ordering::Relaxed)));
            }
            queue.push(oldest);
        }
    }
}

impl Queue {
    fn push(&mut self, element: u32) {
        let at = element as usize;
        if self.links.len() <= at {
            self.links.resize(
                at + 1,
                Link {
                    newer: NONE,
                    older: NONE,
                    queued: false,
                },
            );
        }
        if self.links[at].queued {
            self.remove(element);
        }
        self.links[at] = Link {
            newer: NONE,
            older: self.newest,
            queued: true,
        };
        match self.newest {
            NONE => self.oldest = element,
            newest => self.links[newest as usize].newer = element,
        }
        self.newest = element;
    }

    fn remove(&mut self, element: u32) {
        let Some(link) = self.links.get_mut(element as usize).filter(|l| l.queued) else {
            return;
        };
        link.queued = false;
        let Link { newer, older, .. } = *link;
        match newer {
            NONE => self.newest = older,
            newer => self.links[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.links[older as usize].newer = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_unused_goes_first() {
        let recency = Recency::new(8).unwrap();
        for i in 0..5 {
            recency.add(i, u64::from(i) + 100);
        }
        recency.touch(0);
        recency.touch(2);
        recency.remove(3);
        assert_eq!(recency.victim(), Some((1, 101)));
        assert_eq!(recency.victim(), Some((4, 104)));
        assert_eq!(recency.victim(), Some((0, 100)));
        assert_eq!(recency.victim(), Some((2, 102)));
        assert_eq!(recency.victim(), None);
    }
}
