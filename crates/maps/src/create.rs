//! From a definition to a map: the one list of map types that this crate has.

use std::sync::Arc;

use panal_uapi::{Errno, MapType};

use crate::{
    Arena, Array, BloomFilter, CreateError, HashMap, LpmTrie, Map, MapDef, MapHost, ObjectArray,
    ObjectHash, PercpuArray, PerfEventArray, Queue, RedirectArray, RingBuf, StackTrace, Storage,
    UserRingBuf, map_in_map, redirect,
};

/// Whether [`create_map`] makes maps of this type.
pub fn is_supported(map_type: MapType) -> bool {
    !matches!(map_type, MapType::Unspec | MapType::StructOps)
}

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
        MapType::ProgArray
        | MapType::CgroupArray
        | MapType::Xskmap
        | MapType::Sockmap
        | MapType::ReuseportSockarray => Arc::new(ObjectArray::new(host, def)?),
        MapType::PerfEventArray => Arc::new(PerfEventArray::new(host, def)?),
        MapType::ArrayOfMaps => {
            map_in_map::check_template(inner)?;
            Arc::new(ObjectArray::new(host, def)?)
        }
        MapType::HashOfMaps => {
            map_in_map::check_template(inner)?;
            Arc::new(ObjectHash::new(host, def)?)
        }
        MapType::Ringbuf => Arc::new(RingBuf::new(host, def)?),
        MapType::Arena => Arc::new(Arena::new(host, def)?),
        MapType::UserRingbuf => Arc::new(UserRingBuf::new(host, def)?),
        MapType::LpmTrie => Arc::new(LpmTrie::new(host, def)?),
        MapType::Queue | MapType::Stack => Arc::new(Queue::new(def)?),
        MapType::BloomFilter => Arc::new(BloomFilter::new(def)?),
        MapType::Devmap | MapType::Cpumap => Arc::new(RedirectArray::new(host, def)?),
        MapType::DevmapHash => Arc::new(redirect::devmap_hash(host, def)?),
        MapType::Sockhash => Arc::new(ObjectHash::new(host, def)?),
        MapType::StackTrace => Arc::new(StackTrace::new(def)?),
        MapType::SkStorage
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::CgrpStorage
        | MapType::CgroupStorage
        | MapType::PercpuCgroupStorage => Arc::new(Storage::new(host, def)?),
        other => {
            return Err(CreateError::new(
                Errno::EINVAL,
                format!("maps of type {other} are not supported"),
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cage, Cpus};

    #[test]
    fn what_is_supported_is_made_and_what_is_not_is_refused() {
        let cage = Cage::new(1 << 26).expect("64 MiB of address space");
        let host = MapHost::new(cage, Arc::new(Cpus::new(1)));
        for map_type in MapType::ALL {
            let refused = match create_map(&host, &MapDef::new(*map_type, 4, 8, 4096), None) {
                Ok(_) => false,
                Err(error) => error.detail.contains("are not supported"),
            };
            assert_eq!(refused, !is_supported(*map_type), "{map_type}");
        }
    }
}
