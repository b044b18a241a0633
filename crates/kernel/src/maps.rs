//! Map objects: what the kernel knows of a map beside its contents.

use std::sync::Arc;

use panal_btf::TypeId;
use panal_uapi::{
    MapType,
    kernel::{MapFlags, MapInfo},
};
use panal_verifier::MapDescription;
use panal_vm::MapLink;

use crate::objects::BtfObject;

/// A map. Programs and maps of maps know it by its address.
pub struct Map {
    pub(crate) id: u32,
    pub(crate) name: Arc<str>,
    pub(crate) types: Option<(Arc<BtfObject>, TypeId, TypeId)>,
    /// What its inner maps look like.
    pub(crate) inner: Option<MapDescription>,
    pub(crate) core: Arc<dyn panal_maps::Map>,
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
        self.core.base().def().map_type
    }

    /// Whether user space may no longer write it.
    pub fn is_frozen(&self) -> bool {
        self.core.base().frozen()
    }

    /// The map itself.
    pub fn core(&self) -> &Arc<dyn panal_maps::Map> {
        &self.core
    }

    /// Its types: BTF, key, value.
    pub fn types(&self) -> Option<(&Arc<BtfObject>, TypeId, TypeId)> {
        self.types
            .as_ref()
            .map(|(btf, key, value)| (btf, *key, *value))
    }

    /// What `BPF_OBJ_GET_INFO_BY_FD` tells.
    pub fn info(&self) -> MapInfo {
        let (btf_id, key, value) = match &self.types {
            Some((btf, key, value)) => (btf.id, *key, *value),
            None => (0, TypeId::VOID, TypeId::VOID),
        };
        let def = self.core.base().def();
        MapInfo {
            id: self.id,
            name: self.name.to_string(),
            map_type: def.map_type,
            key_size: def.key_size,
            value_size: def.value_size,
            max_entries: def.max_entries,
            flags: def.flags,
            extra: def.extra,
            btf_id,
            btf_key_type_id: key,
            btf_value_type_id: value,
            frozen: self.is_frozen(),
        }
    }

    /// What the verifier must know.
    pub(crate) fn describe(&self) -> MapDescription {
        let def = self.core.base().def();
        MapDescription {
            name: self.name.clone(),
            map_type: def.map_type,
            key_size: def.key_size,
            value_size: def.value_size,
            max_entries: def.max_entries,
            flags: def.flags,
            extra: def.extra,
            types: self
                .types
                .as_ref()
                .map(|(btf, k, v)| (btf.btf.clone(), *k, *v)),
            inner: self.inner.clone().map(Box::new),
            frozen: self.frozen_contents(),
            id: self.id,
        }
    }

    /// The contents of an array that nobody can change any more.
    fn frozen_contents(&self) -> Option<Arc<[u8]>> {
        let def = self.core.base().def();
        let constant = def.map_type == MapType::Array
            && def.flags.contains(MapFlags::RDONLY_PROG)
            && self.is_frozen()
            && def.max_entries == 1;
        if !constant {
            return None;
        }
        let mut value = vec![0; self.core.user_value_size()];
        self.core
            .user_lookup(&0u32.to_ne_bytes(), &mut value)
            .ok()?;
        Some(value.into())
    }

    /// What the lowering must know.
    pub(crate) fn link(&self) -> MapLink {
        let (values, stride, max_entries) = self.core.direct_values().unwrap_or((0, 0, 0));
        MapLink {
            handle: std::ptr::from_ref(self) as u64,
            values,
            stride,
            max_entries,
        }
    }
}
