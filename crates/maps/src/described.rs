//! Maps that are only described: for kernels that verify programs without running them, so that a
//! verdict does not depend on which map types this kernel can run.

use std::{any::Any, ptr::NonNull, sync::Arc};

use panal_uapi::{Errno, MapType};

use crate::{CreateError, Map, MapBase, MapDef};

/// A map without elements.
struct Described(MapBase);

/// Describes a map of a type that [`crate::create_map`] does not make.
///
/// # Errors
/// `EINVAL` for what Linux refuses of every map of that type.
pub fn describe_map(def: &MapDef) -> Result<Arc<dyn Map>, CreateError> {
    match def.map_type {
        MapType::Unspec => Err(CreateError::invalid("no map type")),
        _ => Ok(Arc::new(Described(MapBase::new(def.clone())))),
    }
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
