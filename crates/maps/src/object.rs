//! Objects that maps hold: programs, inner maps, perf events, sockets, control groups.

use std::{any::Any, sync::Arc};

/// Something that the kernel owns and a map refers to.
#[derive(Clone)]
pub struct Object {
    /// What user space reads back: the object's id.
    pub id: u32,
    /// What a program gets when it looks the element up: for inner maps their handle; 0 where
    /// programs cannot look.
    pub address: u64,
    /// The object itself, to be cast back by the kernel.
    pub payload: Arc<dyn Any + Send + Sync>,
}

impl Object {
    /// An object that programs cannot look up.
    pub fn new(id: u32, payload: Arc<dyn Any + Send + Sync>) -> Object {
        Object {
            id,
            address: 0,
            payload,
        }
    }

    /// The object as what it is.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.payload.downcast_ref()
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Object(id {}, {:#x})", self.id, self.address)
    }
}
