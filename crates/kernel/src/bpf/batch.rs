//! `BPF_MAP_*_BATCH`, and looking up with deleting.

use panal_maps::syscall;
use panal_uapi::{
    Errno, MapType,
    inspect::Batch,
    kernel::{Failure, Fd, Kernel},
};

use super::maps::{in_map, readable, writable};
use crate::{PanalKernel, maps::Map};

/// Most bytes that one call moves.
const MOST: usize = 1 << 28;

/// Hash tables can be emptied by batches, too.
fn is_hash(map_type: MapType) -> bool {
    use MapType::{Hash, LruHash, LruPercpuHash, PercpuHash};
    matches!(map_type, Hash | LruHash | PercpuHash | LruPercpuHash)
}

/// The map types that Linux moves by batches.
fn has_batches(map_type: MapType) -> bool {
    use MapType::{Array, ArrayOfMaps, HashOfMaps, LpmTrie, PercpuArray};
    is_hash(map_type)
        || matches!(
            map_type,
            Array | PercpuArray | LpmTrie | ArrayOfMaps | HashOfMaps
        )
}

pub(super) fn lookup_and_delete(
    kernel: &PanalKernel,
    map: &Fd,
    key: &[u8],
    flags: u64,
) -> Result<Option<Vec<u8>>, Failure> {
    const COMMAND: &str = "BPF_MAP_LOOKUP_AND_DELETE_ELEM";
    writable(kernel, map, COMMAND)?;
    let map = readable(kernel, map, COMMAND)?;
    match syscall::lookup_and_delete(&*map.core, key, flags) {
        Ok(value) => Ok(Some(value)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(in_map(COMMAND, &map)(errno)),
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
    let map = readable(kernel, fd, command)?;
    if delete {
        writable(kernel, fd, command)?;
    }
    let allowed = has_batches(map.map_type()) && (!delete || is_hash(map.map_type()));
    if !allowed {
        return Err(in_map(command, &map)(Errno::ENOTSUPP));
    }
    let element = map.core.user_value_size() + map.core.base().def().key_size as usize;
    let fits = (count as usize)
        .checked_mul(element)
        .is_some_and(|n| n <= MOST);
    if count == 0 || !fits {
        let errno = if count == 0 {
            Errno::EINVAL
        } else {
            Errno::E2BIG
        };
        return Err(in_map(command, &map)(errno));
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
        match syscall::delete(core, &key) {
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

pub(super) fn update(
    kernel: &PanalKernel,
    fd: &Fd,
    keys: &[u8],
    values: &[u8],
    flags: u64,
) -> Result<u32, Failure> {
    const COMMAND: &str = "BPF_MAP_UPDATE_BATCH";
    let map = writable(kernel, fd, COMMAND)?;
    let key_size = map.core.base().def().key_size as usize;
    let value_size = match map.map_type() {
        MapType::ArrayOfMaps | MapType::HashOfMaps => 4,
        _ => map.core.user_value_size(),
    };
    let count = count(&map, keys).map_err(in_map(COMMAND, &map))?;
    if count * value_size != values.len() {
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
    let map = writable(kernel, fd, COMMAND)?;
    let wrong = in_map(COMMAND, &map);
    if let Err(errno) = count(&map, keys) {
        return Err(wrong(errno));
    }
    let key_size = map.core.base().def().key_size as usize;
    let mut deleted = 0;
    for key in keys.chunks_exact(key_size) {
        match syscall::delete(&*map.core, key) {
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
    if !has_batches(map.map_type()) {
        Err(Errno::ENOTSUPP)
    } else if size == 0 || keys.is_empty() || !keys.len().is_multiple_of(size) {
        Err(Errno::EINVAL)
    } else {
        Ok(keys.len() / size)
    }
}
