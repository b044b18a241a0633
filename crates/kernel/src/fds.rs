//! The descriptor table: small numbers for objects, as a Linux process sees them.

use std::sync::{Arc, Mutex, PoisonError};

use panal_uapi::{
    Errno,
    kernel::{CloseFd, Fd},
};

use crate::{
    maps::{Map, UserMap},
    objects::{BtfObject, Link, Program, StatsHold},
};

/// First number handed out: 0 to 2 look like the standard streams to people.
const FIRST: usize = 3;

/// Most descriptors that may be open at once.
const LIMIT: usize = 1 << 20;

/// What a descriptor or a pin stands for.
#[derive(Clone)]
pub(crate) enum Object {
    Map(UserMap),
    Program(Arc<Program>),
    Link(Arc<Link>),
    Btf(Arc<BtfObject>),
    /// Keeps programs' runs timed.
    Stats(#[expect(dead_code, reason = "held until the descriptor closes")] Arc<StatsHold>),
}

impl Object {
    /// For messages: `a map`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Object::Map(_) => "a map",
            Object::Program(_) => "a program",
            Object::Link(_) => "a link",
            Object::Btf(_) => "a BTF",
            Object::Stats(_) => "statistics",
        }
    }
}

/// Descriptors of one kernel.
#[derive(Default)]
pub(crate) struct FdTable {
    slots: Mutex<Vec<Option<Object>>>,
}

impl FdTable {
    /// Opens a descriptor: the smallest free number.
    pub(crate) fn open(self: &Arc<Self>, object: Object) -> Result<Fd, Errno> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let free = slots
            .iter()
            .position(Option::is_none)
            .unwrap_or(slots.len());
        if free + FIRST >= LIMIT {
            return Err(Errno::EMFILE);
        }
        if free == slots.len() {
            slots.push(Some(object));
        } else {
            slots[free] = Some(object);
        }
        Ok(Fd::new((free + FIRST) as i32, self.clone()))
    }

    /// What a number stands for; `EBADF` when nothing.
    pub(crate) fn get(&self, number: i32) -> Result<Object, Errno> {
        let index = usize::try_from(number)
            .ok()
            .and_then(|n| n.checked_sub(FIRST));
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        index
            .and_then(|i| slots.get(i)?.clone())
            .ok_or(Errno::EBADF)
    }

    /// The map behind a number; `EBADF` when nothing is, `EINVAL` when something else is.
    pub(crate) fn map(&self, number: i32) -> Result<Arc<Map>, Errno> {
        match self.get(number)? {
            Object::Map(map) => Ok(map.map().clone()),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The map behind a number as user space holds it.
    pub(crate) fn user_map(&self, number: i32) -> Result<UserMap, Errno> {
        match self.get(number)? {
            Object::Map(map) => Ok(map),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The program behind a number.
    pub(crate) fn program(&self, number: i32) -> Result<Arc<Program>, Errno> {
        match self.get(number)? {
            Object::Program(program) => Ok(program),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The BTF behind a number.
    pub(crate) fn btf(&self, number: i32) -> Result<Arc<BtfObject>, Errno> {
        match self.get(number)? {
            Object::Btf(btf) => Ok(btf),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The link behind a number.
    pub(crate) fn link(&self, number: i32) -> Result<Arc<Link>, Errno> {
        match self.get(number)? {
            Object::Link(link) => Ok(link),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl CloseFd for FdTable {
    fn close(&self, number: i32) {
        let Some(index) = usize::try_from(number)
            .ok()
            .and_then(|n| n.checked_sub(FIRST))
        else {
            return;
        };
        // The object may own descriptors itself (inner maps): drop it after the lock.
        let object = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.get_mut(index).and_then(Option::take)
        };
        drop(object);
    }
}
