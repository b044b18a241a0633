//! What the tests of this crate share: operations as the system call has them, on Panal's maps
//! and on Linux's.

#![allow(dead_code)]

use std::sync::Arc;

use panal_maps::{Cage, Cpus, Map, MapDef, MapHost, create_map, syscall};
use panal_uapi::Errno;

/// An operation of the system call.
#[derive(Clone, Debug)]
pub enum Op {
    Lookup(Vec<u8>),
    Update(Vec<u8>, Vec<u8>, u64),
    Delete(Vec<u8>),
    Next(Option<Vec<u8>>),
    Take(Vec<u8>),
}

/// Bytes, or an errno.
pub type Answer = Result<Vec<u8>, i32>;

/// Something that answers.
pub trait Subject {
    fn apply(&self, op: &Op) -> Answer;
}

pub struct Panal {
    pub host: MapHost,
    pub map: Arc<dyn Map>,
}

impl Panal {
    pub fn new(def: &MapDef, cpus: u32) -> Result<Panal, i32> {
        let cage = Cage::new(1 << 28).expect("256 MiB of address space");
        let host = MapHost::new(cage, Arc::new(Cpus::new(cpus)));
        let inner = MapDef::new(panal_uapi::MapType::Array, 4, 4, 1);
        let map = create_map(&host, def, Some(&inner)).map_err(|e| e.errno.0)?;
        Ok(Panal { host, map })
    }
}

impl Subject for Panal {
    fn apply(&self, op: &Op) -> Answer {
        let map = &*self.map;
        let none = |_| Vec::new();
        match op {
            Op::Lookup(key) => syscall::lookup(map, key, None, 0),
            Op::Update(key, value, flags) => syscall::update(map, key, value, *flags).map(none),
            Op::Delete(key) => syscall::delete(map, key).map(none),
            Op::Next(key) => match syscall::next_key(map, key.as_deref()) {
                Ok(Some(key)) => Ok(key),
                Ok(None) => Err(Errno::ENOENT),
                Err(e) => Err(e),
            },
            Op::Take(key) => syscall::lookup_and_delete(map, key, 0),
        }
        .map_err(|e| e.0)
    }
}
