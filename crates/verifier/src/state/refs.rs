//! What a path holds and must give back: references, locks, RCU, preemption and IRQ sections.

use alloc::vec::Vec;

use super::MapRef;

/// What keeps a lock: two locks are the same when this and the register's id agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockPtr {
    /// In a value of this map.
    Map(MapRef),
    /// In an object of `bpf_obj_new`: the BTF is the program's.
    Object,
}

/// Kinds of references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind {
    /// A pointer that must be released.
    Pointer,
    /// Saved IRQ flags that must be restored, in order.
    Irq,
    /// `bpf_spin_lock`
    Lock,
    /// `bpf_res_spin_lock`
    ResLock,
    /// `bpf_res_spin_lock_irqsave`
    ResLockIrq,
}

/// One reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Kind.
    pub kind: RefKind,
    /// Its id: [`super::RegState::ref_id`] of those that it keeps alive; for locks the register's `id`.
    pub id: u32,
    /// Slot of the instruction that took it.
    pub slot: u32,
    /// For locks.
    pub lock: Option<LockPtr>,
}

/// All of them, oldest first, with the sections that have only a depth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// References.
    pub list: Vec<Reference>,
    /// Locks held.
    pub locks: u32,
    /// Id and place of the newest `bpf_spin_lock` held.
    pub active_lock: Option<(u32, LockPtr)>,
    /// Depth of `bpf_preempt_disable`.
    pub preempt: u32,
    /// Depth of `bpf_rcu_read_lock` (0 or 1 in 6.18).
    pub rcu: u32,
    /// Id of the innermost IRQ section, 0 for none.
    pub irq: u32,
}

impl References {
    /// The reference with this id, of pointer kind.
    pub fn pointer(&self, id: u32) -> Option<&Reference> {
        self.list
            .iter()
            .find(|r| r.kind == RefKind::Pointer && r.id == id)
    }

    /// Whether a pointer with this `ref_id` is held.
    pub fn holds(&self, id: u32) -> bool {
        self.pointer(id).is_some()
    }

    /// Takes a pointer reference.
    pub fn acquire(&mut self, id: u32, slot: usize) {
        self.list.push(Reference {
            kind: RefKind::Pointer,
            id,
            slot: slot as u32,
            lock: None,
        });
    }

    /// Forgets a pointer reference; false when it was not held. The registers that it kept alive
    /// are the caller's to invalidate: see [`super::State::invalidate_reference`].
    pub fn forget(&mut self, id: u32) -> bool {
        let place = self
            .list
            .iter()
            .position(|r| r.kind == RefKind::Pointer && r.id == id);
        place.is_some_and(|i| {
            self.list.remove(i);
            true
        })
    }
}
