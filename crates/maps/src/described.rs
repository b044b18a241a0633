//! Maps that are only described: for kernels that verify programs without running them, so that a
//! verdict does not depend on which map types this kernel can run.

use std::{any::Any, ptr::NonNull, sync::Arc};

use panal_uapi::{Errno, MapType, kernel::MapFlags};

use crate::{CreateError, Map, MapBase, MapDef};

/// A map without elements.
struct Described(MapBase);

/// Describes a map of a type that [`crate::create_map`] does not make.
///
/// # Errors
/// `EINVAL` for what Linux refuses of every map of that type.
pub fn describe_map(def: &MapDef) -> Result<Arc<dyn Map>, CreateError> {
    let wrong = |detail: &str| Err(CreateError::invalid(format!("{}: {detail}", def.map_type)));
    match def.map_type {
        MapType::Unspec => return wrong("no map type"),
        MapType::SkStorage
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::CgrpStorage => {
            if def.max_entries != 0 || !def.flags.contains(MapFlags::NO_PREALLOC) {
                return wrong("local storage wants max_entries 0 and BPF_F_NO_PREALLOC");
            }
        }
        MapType::CgroupStorage | MapType::PercpuCgroupStorage => {
            if def.max_entries != 0 {
                return wrong("cgroup storage wants max_entries 0");
            }
        }
        MapType::Arena => {
            if def.key_size != 0 || def.value_size != 0 || def.max_entries == 0 {
                return wrong("an arena has neither key nor value, and pages as entries");
            }
        }
        MapType::StackTrace => {
            if def.key_size != 4 || def.value_size % 8 != 0 || def.max_entries == 0 {
                return wrong("a stack trace map wants 4-byte keys and values of whole addresses");
            }
        }
        _ => {}
    }
    Ok(Arc::new(Described(MapBase::new(def.clone()))))
}

impl Map for Described {
    fn base(&self) -> &MapBase {
        &self.0
    }

    fn lookup(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn user_lookup(&self, _key: &[u8], _out: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory(&self) -> u64 {
        0
    }
}
