//! Map objects: what the kernel knows of a map beside its contents.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use panal_btf::TypeId;
use panal_uapi::{
    MapType,
    kernel::{MapFlags, MapInfo},
};

use crate::objects::BtfObject;

/// A map.
pub struct Map {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) map_type: MapType,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: MapFlags,
    pub(crate) extra: u64,
    pub(crate) types: Option<(Arc<BtfObject>, TypeId, TypeId)>,
    pub(crate) frozen: AtomicBool,
}

impl Map {
    /// Its id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn map_type(&self) -> MapType {
        self.map_type
    }

    /// Whether user space may no longer write it.
    pub fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Acquire)
    }

    /// What `BPF_OBJ_GET_INFO_BY_FD` tells.
    pub fn info(&self) -> MapInfo {
        let (btf_id, key, value) = match &self.types {
            Some((btf, key, value)) => (btf.id, *key, *value),
            None => (0, TypeId::VOID, TypeId::VOID),
        };
        MapInfo {
            id: self.id,
            name: self.name.clone(),
            map_type: self.map_type,
            key_size: self.key_size,
            value_size: self.value_size,
            max_entries: self.max_entries,
            flags: self.flags,
            extra: self.extra,
            btf_id,
            btf_key_type_id: key,
            btf_value_type_id: value,
            frozen: self.is_frozen(),
        }
    }
}
