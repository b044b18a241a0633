//! What a run holds at the moment: given back when it ends, however it ends.
//!
//! A proven program that returns has given everything back itself. One that was stopped has not, nor
//! has one without a proof.

use std::ptr::NonNull;

use panal_maps::{RingDirectory, lock};

/// Something that a program took by one helper and gives back by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// A ring buffer's record that is being written, by the address of its bytes.
    Record(u64),
    /// A spin lock in the cage: four bytes, aligned.
    Lock(NonNull<u8>),
}

/// More than a proven program holds at once in all but contrived cases.
const NEAR: usize = 4;

/// All that a run holds, in the order in which it was taken.
#[derive(Default)]
pub(crate) struct Held {
    /// How many things there are.
    count: usize,
    near: [Option<Resource>; NEAR],
    far: Vec<Resource>,
}

impl Held {
    /// Notes what the program took.
    #[inline]
    pub fn take(&mut self, resource: Resource) {
        self.count += 1;
        match self.near.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(resource),
            None => self.far.push(resource),
        }
    }

    /// Notes what the program gave back; false if it did not hold that.
    #[inline]
    pub fn give(&mut self, resource: Resource) -> bool {
        if let Some(place) = self.near.iter_mut().find(|place| **place == Some(resource)) {
            *place = None;
            self.count -= 1;
            return true;
        }
        let found = self.far.iter().position(|held| *held == resource);
        let gone = found.map(|at| self.far.swap_remove(at)).is_some();
        self.count -= usize::from(gone);
        gone
    }

    /// Gives everything back: records are discarded, locks freed.
    #[inline]
    pub fn release_all(&mut self, rings: &RingDirectory) {
        if self.count > 0 {
            self.release_each(rings);
        }
    }

    #[cold]
    fn release_each(&mut self, rings: &RingDirectory) {
        self.count = 0;
        for place in &mut self.near {
            if let Some(resource) = place.take() {
                release(resource, rings);
            }
        }
        for resource in self.far.drain(..) {
            release(resource, rings);
        }
    }
}

#[cold]
fn release(resource: Resource, rings: &RingDirectory) {
    match resource {
        // SAFETY: the session is on its CPU until after the run. What is no record is left alone.
        Resource::Record(address) => unsafe {
            rings.commit(address, 0, true);
        },
        // SAFETY: `spin_lock` checked it: four aligned bytes of the cage, all of which is mapped.
        Resource::Lock(at) => unsafe { lock::unlock(at) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_can_be_given_once() {
        let mut held = Held::default();
        for n in 0..10 {
            held.take(Resource::Record(n));
        }
        for n in [9, 0, 5] {
            assert!(
                held.give(Resource::Record(n)) && !held.give(Resource::Record(n)),
                "{n}"
            );
        }
        assert!(!held.give(Resource::Record(77)));
        let left = held.near.iter().flatten().count() + held.far.len();
        assert_eq!((left, held.count), (7, 7));
    }
}
