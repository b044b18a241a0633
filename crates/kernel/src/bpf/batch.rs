//! `BPF_MAP_*_BATCH`

use std::sync::Arc;

use panal_maps::syscall;
use panal_uapi::{
    Errno, MapType,
    inspect::Batch,
    kernel::{Failure, Fd, Kernel, update},
};

use super::maps::{in_map, may_read, may_write, user_map};
use crate::{
    PanalKernel,
    maps::{Map, UserMap},
};

/// Most bytes that one call moves.
const MOST: usize = 1 << 28;

/// What is done to many elements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Batched {
    Lookup,
    Take,
    Update,
    Delete,
}

/// Whether Linux does that to maps of a type.
fn has(map_type: MapType, what: Batched) -> bool {
    use MapType::{
        Array, ArrayOfMaps, Hash, HashOfMaps, LpmTrie, LruHash, LruPercpuHash, PercpuArray,
        PercpuHash,
    };
    match map_type {
        Hash | LruHash | PercpuHash | LruPercpuHash | HashOfMaps => true,
        LpmTrie => what != Batched::Take,
        Array | PercpuArray | ArrayOfMaps => matches!(what, Batched::Lookup | Batched::Update),
        _ => false,
    }
}

/// The map behind a descriptor, when that may be done to it.
fn allowed(user: &UserMap, command: &'static str, what: Batched) -> Result<Arc<Map>, Failure> {
    if matches!(what, Batched::Lookup | Batched::Take) {
        may_read(user, command)?;
    }
    if what != Batched::Lookup {
        may_write(user, command)?;
    }
    match has(user.map().map_type(), what) {
        true => Ok(user.map().clone()),
        false => Err(in_map(command, user.map())(Errno::ENOTSUPP)),
    }
}

/// Where a walk goes on is the last key that was seen.
pub(super) fn lookup(
    kernel: &PanalKernel,
    fd: &Fd,
    from: Option<&[u8]>,
    count: u32,
    delete: bool,
) -> Result<Batch, Failure> {
    let command = match delete {
        true => "BPF_MAP_LOOKUP_AND_DELETE_BATCH",
        false => "BPF_MAP_LOOKUP_BATCH",
    };
    let what = match delete {
        true => Batched::Take,
        false => Batched::Lookup,
    };
    let user = user_map(kernel, fd, command)?;
    if count == 0 {
        return Err(in_map(command, user.map())(Errno::EINVAL));
    }
    let map = allowed(&user, command, what)?;
    let element = map.core.user_value_size() + map.core.base().def().key_size as usize;
    let bytes = (count as usize).checked_mul(element);
    if bytes.is_none_or(|bytes| bytes > MOST) {
        return Err(in_map(command, &map)(Errno::E2BIG));
    }
    walk(&map, from, count, delete).map_err(in_map(command, &map))
}

fn walk(map: &Map, from: Option<&[u8]>, count: u32, delete: bool) -> Result<Batch, Errno> {
    let core = &*map.core;
    let mut batch = Batch::default();
    let from = from.filter(|from| !from.is_empty());
    let mut next = syscall::next_key(core, from)?;
    let mut deleted = Vec::new();
    while let Some(key) = next.take_if(|_| batch.count < count) {
        match syscall::lookup(core, &key, None, 0) {
            Ok(value) => {
                batch.keys.extend_from_slice(&key);
                batch.values.extend_from_slice(&value);
                batch.count += 1;
                batch.next = Some(key.clone());
                if delete {
                    deleted.push(key.clone());
                }
            }
            // An entry that went away meanwhile, or an array's slot that holds no map.
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        next = syscall::next_key(core, Some(&key))?;
    }
    if next.is_none() {
        batch.next = None;
    }
    // What was handed out is deleted after the walk: the way goes by keys that are there.
    for key in deleted {
        match map.replacing(&key, || syscall::delete(core, &key)) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    if delete && batch.next.is_some() {
        // The last key is gone; the rest begins at the start.
        batch.next = Some(Vec::new());
    }
    Ok(batch)
}

pub(super) fn update_all(
    kernel: &PanalKernel,
    fd: &Fd,
    keys: &[u8],
    values: &[u8],
    flags: u64,
) -> Result<u32, Failure> {
    const COMMAND: &str = "BPF_MAP_UPDATE_BATCH";
    let user = user_map(kernel, fd, COMMAND)?;
    let map = user.map();
    let key_size = map.core.base().def().key_size as usize;
    let value_size = map.core.user_value_size();
    let count = count(map, keys).map_err(in_map(COMMAND, map))?;
    if count * value_size != values.len() {
        return Err(in_map(COMMAND, map)(Errno::EINVAL));
    }
    let map = allowed(&user, COMMAND, Batched::Update)?;
    let locked = map.core.base().def().spin_lock.is_some();
    let known = match locked {
        true => update::BPF_F_LOCK,
        false => 0,
    };
    if flags & !known != 0 {
        return Err(in_map(COMMAND, &map)(Errno::EINVAL));
    }
    let pairs = keys
        .chunks_exact(key_size)
        .zip(values.chunks_exact(value_size));
    for (key, value) in pairs {
        kernel
            .map_update(fd, key, value, flags)
            .map_err(|failure| Failure {
                command: COMMAND,
                ..failure
            })?;
    }
    Ok(count as u32)
}

pub(super) fn delete(kernel: &PanalKernel, fd: &Fd, keys: &[u8]) -> Result<u32, Failure> {
    const COMMAND: &str = "BPF_MAP_DELETE_BATCH";
    let user = user_map(kernel, fd, COMMAND)?;
    count(user.map(), keys).map_err(in_map(COMMAND, user.map()))?;
    let map = allowed(&user, COMMAND, Batched::Delete)?;
    let wrong = in_map(COMMAND, &map);
    let key_size = map.core.base().def().key_size as usize;
    let mut deleted = 0;
    for key in keys.chunks_exact(key_size) {
        match map.replacing(key, || syscall::delete(&*map.core, key)) {
            Ok(()) => deleted += 1,
            Err(Errno::ENOENT) => break,
            Err(errno) => return Err(wrong(errno)),
        }
    }
    Ok(deleted)
}

/// How many keys these are.
fn count(map: &Map, keys: &[u8]) -> Result<usize, Errno> {
    let size = map.core.base().def().key_size as usize;
    if size == 0 || keys.is_empty() || !keys.len().is_multiple_of(size) {
        Err(Errno::EINVAL)
    } else {
        Ok(keys.len() / size)
    }
}
