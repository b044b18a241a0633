//! What maps of sockets demand: `SOCKMAP`, `SOCKHASH`, `REUSEPORT_SOCKARRAY`.

use panal_uapi::{Errno, MapType, kernel::MapFlags};

use crate::{
    CreateError, MapDef,
    def::{ACCESS_FLAGS, check_flags, check_not_zero},
};

/// Most bytes of a sock hash's key (`MAX_BPF_STACK`).
const KEY_MOST: u32 = 512;

/// What a lookup answers where no socket is: what is read are cookies, of eight bytes.
pub(crate) fn absent(def: &MapDef) -> Errno {
    match def.value_size {
        8 => Errno::ENOENT,
        _ => Errno::ENOSPC,
    }
}

/// Checks a definition (`sock_map_alloc`, `sock_hash_alloc`, `reuseport_array_alloc_check`).
pub(crate) fn check(def: &MapDef) -> Result<(), CreateError> {
    let hash = def.map_type == MapType::Sockhash;
    let allowed = match def.map_type {
        MapType::ReuseportSockarray => MapFlags::NUMA_NODE | ACCESS_FLAGS,
        _ => MapFlags::NUMA_NODE | MapFlags::RDONLY | MapFlags::WRONLY,
    };
    check_not_zero(&[("max_entries", def.max_entries), ("key_size", def.key_size)])?;
    if (!hash && def.key_size != 4) || !matches!(def.value_size, 4 | 8) {
        return Err(CreateError::invalid(
            "a map of sockets has values of 4 or 8 bytes, and keys of 4 where it is an array",
        ));
    }
    check_flags(def, allowed)?;
    if hash && def.key_size > KEY_MOST {
        return Err(CreateError::new(Errno::E2BIG, "key_size above 512"));
    }
    Ok(())
}
