//! From a definition to a map: the one list of map types that this crate has.

use std::sync::Arc;

use panal_uapi::{Errno, MapType};

use crate::{Array, CreateError, HashMap, Map, MapDef, MapHost, PercpuArray};

/// Creates a map. `inner` is the template of a map of maps.
///
/// # Errors
/// What Linux answers to such a definition; `ENOTSUPP`-like refusals of types that Panal does not
/// have are `EINVAL`, as from a kernel built without them.
pub fn create_map(
    host: &MapHost,
    def: &MapDef,
    inner: Option<&MapDef>,
) -> Result<Arc<dyn Map>, CreateError> {
    let _ = inner;
    if def.extra != 0 && !matches!(def.map_type, MapType::BloomFilter | MapType::Arena) {
        return Err(CreateError::invalid(format!(
            "map_extra means nothing to a map of type {}",
            def.map_type
        )));
    }
    Ok(match def.map_type {
        MapType::Array => Arc::new(Array::new(host, def)?),
        MapType::PercpuArray => Arc::new(PercpuArray::new(host, def)?),
        MapType::Hash | MapType::PercpuHash | MapType::LruHash | MapType::LruPercpuHash => {
            Arc::new(HashMap::new(host, def)?)
        }
        other => {
            return Err(CreateError::new(
                Errno::EINVAL,
                format!("maps of type {other} are not supported"),
            ));
        }
    })
}
