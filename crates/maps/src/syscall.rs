//! What the system call adds to a map's own methods: sizes, flags, freezing. Who may read and write is a
//! matter of the descriptor, which the kernel has.

use panal_uapi::{Errno, MapType, kernel::update};

use crate::Map;

fn check_key(map: &dyn Map, key: &[u8]) -> Result<(), Errno> {
    if key.len() == map.base().def().key_size as usize {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

fn check_write(map: &dyn Map) -> Result<(), Errno> {
    match map.base().frozen() {
        true => Err(Errno::EPERM),
        false => Ok(()),
    }
}

fn check_lock(map: &dyn Map, flags: u64) -> Result<(), Errno> {
    let locked = flags & update::BPF_F_LOCK != 0;
    if locked && map.base().def().spin_lock.is_none() {
        Err(Errno::EINVAL)
    } else {
        Ok(())
    }
}

/// Maps whose elements have no key: the value that is popped or peeked is what lookups give.
fn is_keyless(map: &dyn Map) -> bool {
    matches!(
        map.base().def().map_type,
        MapType::Queue | MapType::Stack | MapType::BloomFilter
    )
}

/// `BPF_MAP_LOOKUP_ELEM`. For a bloom filter, `value` is what is asked for.
pub fn lookup(
    map: &dyn Map,
    key: &[u8],
    value: Option<&[u8]>,
    flags: u64,
) -> Result<Vec<u8>, Errno> {
    if flags & !update::BPF_F_LOCK != 0 {
        return Err(Errno::EINVAL);
    }
    check_lock(map, flags)?;
    check_key(map, key)?;
    let mut out = vec![0; map.user_value_size()];
    if is_keyless(map) {
        if let Some(value) = value {
            if value.len() != out.len() {
                return Err(Errno::EINVAL);
            }
            out.copy_from_slice(value);
        }
        map.peek(&mut out)?;
    } else {
        map.user_lookup(key, &mut out)?;
    }
    Ok(out)
}

/// `BPF_MAP_UPDATE_ELEM`
pub fn update(map: &dyn Map, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
    check_write(map)?;
    check_lock(map, flags)?;
    check_key(map, key)?;
    if value.len() != map.user_value_size() {
        return Err(Errno::EINVAL);
    }
    if is_keyless(map) {
        map.push(value, flags)
    } else {
        map.user_update(key, value, flags)
    }
}

/// `BPF_MAP_DELETE_ELEM`
pub fn delete(map: &dyn Map, key: &[u8]) -> Result<(), Errno> {
    check_write(map)?;
    check_key(map, key)?;
    map.delete(key)
}

/// `BPF_MAP_LOOKUP_AND_DELETE_ELEM`
pub fn lookup_and_delete(map: &dyn Map, key: &[u8], flags: u64) -> Result<Vec<u8>, Errno> {
    if flags & !update::BPF_F_LOCK != 0 {
        return Err(Errno::EINVAL);
    }
    check_write(map)?;
    check_lock(map, flags)?;
    check_key(map, key)?;
    let mut out = vec![0; map.user_value_size()];
    let map_type = map.base().def().map_type;
    if matches!(map_type, MapType::BloomFilter | MapType::DevmapHash) {
        return Err(Errno::ENOTSUPP);
    } else if is_keyless(map) {
        map.pop(&mut out)?
    } else {
        map.user_lookup_and_delete(key, &mut out)?
    }
    Ok(out)
}

/// `BPF_MAP_GET_NEXT_KEY`; `None` at the end.
pub fn next_key(map: &dyn Map, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, Errno> {
    if let Some(key) = key {
        check_key(map, key)?;
    }
    let mut out = vec![0; map.base().def().key_size as usize];
    match map.next_key(key, &mut out) {
        Ok(()) => Ok(Some(out)),
        Err(Errno::ENOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

/// `BPF_MAP_FREEZE`: user space cannot write any more; `EPERM` when it could not before.
pub fn freeze(map: &dyn Map) -> Result<(), Errno> {
    check_write(map)?;
    map.base().freeze()
}
