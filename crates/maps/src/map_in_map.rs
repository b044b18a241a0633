//! Which inner maps fit a map of maps.

use panal_uapi::{Errno, MapType, kernel::MapFlags};

use crate::{CreateError, MapDef};

/// Refuses templates that no map of maps may have (`bpf_map_meta_alloc`).
pub(crate) fn check_template(inner: Option<&MapDef>) -> Result<(), CreateError> {
    let Some(inner) = inner else {
        return Err(CreateError::new(
            Errno::EINVAL,
            "a map of maps needs an inner map as template",
        ));
    };
    match inner.map_type {
        MapType::ArrayOfMaps | MapType::HashOfMaps => {
            Err(CreateError::invalid("maps of maps do not nest further"))
        }
        MapType::ProgArray
        | MapType::CgroupStorage
        | MapType::PercpuCgroupStorage
        | MapType::StructOps => Err(CreateError::new(
            Errno::ENOTSUPP,
            format!("a map of type {} cannot be an inner map", inner.map_type),
        )),
        _ => Ok(()),
    }
}

/// Whether a map fits where the template was given (`bpf_map_meta_equal`).
pub fn fits_template(template: &MapDef, map: &MapDef) -> bool {
    let sized =
        template.map_type == MapType::Array && !template.flags.contains(MapFlags::INNER_MAP);
    template.map_type == map.map_type
        && template.key_size == map.key_size
        && template.value_size == map.value_size
        && template.flags == map.flags
        && template.fields == map.fields
        && (!sized || template.max_entries == map.max_entries)
}
