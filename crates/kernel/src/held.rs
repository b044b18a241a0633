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

/// All that a run holds.
#[derive(Default)]
pub(crate) struct Held {
    /// What was taken last: mostly all that there is, and what is given back first.
    last: Option<Resource>,
    others: Vec<Resource>,
}

impl Held {
    /// Notes what the program took.
    #[inline(always)]
    pub fn take(&mut self, resource: Resource) {
        if let Some(before) = self.last.replace(resource) {
            self.others.push(before);
        }
    }

    /// Notes what the program gave back; false if it did not hold that.
    #[inline(always)]
    pub fn give(&mut self, resource: Resource) -> bool {
        if self.last == Some(resource) {
            self.last = None;
            return true;
        }
        self.give_other(resource)
    }

    #[inline(never)]
    fn give_other(&mut self, resource: Resource) -> bool {
        let found = self.others.iter().position(|held| *held == resource);
        found.map(|at| self.others.swap_remove(at)).is_some()
    }

    /// Gives everything back: records are discarded, locks freed.
    #[inline(always)]
    pub fn release_all(&mut self, rings: &RingDirectory) {
        if self.last.is_some() || !self.others.is_empty() {
            self.release(rings);
        }
    }

    #[cold]
    fn release(&mut self, rings: &RingDirectory) {
        for resource in self.last.take().into_iter().chain(self.others.drain(..)) {
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
        assert_eq!(held.last.iter().count() + held.others.len(), 7);
    }
}
