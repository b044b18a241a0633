//! Saved states by the slot at which they were saved: most slots have none.

use alloc::vec::Vec;

use crate::{explore::StateId, liveness::InstanceId};

/// The states that are compared with, by slot.
#[derive(Debug, Default)]
pub struct BySlot {
    /// Per slot: one more than the index of its list, 0 for none.
    list_of: Vec<u32>,
    lists: Vec<Vec<(StateId, InstanceId)>>,
}

impl BySlot {
    /// No states, for a program of so many slots.
    pub fn new(slots: usize) -> BySlot {
        BySlot {
            list_of: alloc::vec![0; slots],
            lists: Vec::new(),
        }
    }

    /// Those at a slot, oldest first, with the chain of calls of each.
    #[inline]
    pub fn at(&self, slot: usize) -> &[(StateId, InstanceId)] {
        match self.list_of.get(slot) {
            None | Some(0) => &[],
            Some(&list) => &self.lists[list as usize - 1],
        }
    }

    /// Adds one.
    pub fn push(&mut self, slot: usize, id: StateId, calls: InstanceId) {
        let list = &mut self.list_of[slot];
        if *list == 0 {
            self.lists.push(Vec::new());
            *list = self.lists.len() as u32;
        }
        self.lists[*list as usize - 1].push((id, calls));
    }

    /// Removes one, by its place in [`BySlot::at`].
    pub fn remove(&mut self, slot: usize, index: usize) {
        let list = self.list_of[slot] as usize - 1;
        self.lists[list].remove(index);
    }
}
