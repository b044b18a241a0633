//! From a definition to a map: the one list of map types that this crate has.

use std::sync::Arc;

use panal_uapi::{Errno, MapType};

use crate::{
    Array, CreateError, HashMap, HashOfMaps, Map, MapDef, MapHost, ObjectArray, PercpuArray,
    PerfEventArray, RingBuf, map_in_map,
};

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
        MapType::ProgArray | MapType::CgroupArray => Arc::new(ObjectArray::new(host, def)?),
        MapType::PerfEventArray => Arc::new(PerfEventArray::new(host, def)?),
        MapType::ArrayOfMaps => {
            map_in_map::check_template(inner)?;
            Arc::new(ObjectArray::new(host, def)?)
        }
        MapType::HashOfMaps => {
            map_in_map::check_template(inner)?;
            Arc::new(HashOfMaps::new(host, def)?)
        }
        MapType::Ringbuf => Arc::new(RingBuf::new(host, def)?),
        other => {
            return Err(CreateError::new(
                Errno::EINVAL,
                format!("maps of type {other} are not supported"),
            ));
        }
    })
}
