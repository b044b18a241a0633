//! `BPF_MAP_*_BATCH`: many elements by one call.

use panal_uapi::{
    Command, Errno, MapType,
    attr::MapBatch,
    inspect::Batch,
    kernel::{Failure, Fd, MapInfo},
};

use crate::{
    kernel::possible_cpus,
    maps::{raw_info, user_value_size},
    sys::{bpf, failure},
};

/// Most bytes that one call moves.
const MOST: usize = 1 << 28;

/// Sizes of a key and a value as the call moves them.
fn sizes(info: &MapInfo) -> (usize, usize) {
    (
        info.key_size as usize,
        user_value_size(info, possible_cpus()),
    )
}

fn wrong(command: Command, info: &MapInfo) -> impl Fn(Errno) -> Failure {
    let map = format!("map {} ({})", info.name, info.map_type);
    move |errno| {
        let detail = match errno {
            Errno::ENOTSUPP => format!("{map}: this map type has no batches"),
            _ => map.clone(),
        };
        failure(command, errno, detail)
    }
}

/// Where a walk goes on: hash tables say which bucket (4 bytes), the others which key.
fn position_size(info: &MapInfo) -> usize {
    match info.map_type {
        MapType::Hash | MapType::LruHash | MapType::PercpuHash | MapType::LruPercpuHash => 4,
        MapType::HashOfMaps => 4,
        _ => info.key_size as usize,
    }
}

pub fn lookup(map: &Fd, from: Option<&[u8]>, count: u32, delete: bool) -> Result<Batch, Failure> {
    let command = match delete {
        true => Command::MapLookupAndDeleteBatch,
        false => Command::MapLookupBatch,
    };
    let info = raw_info(map)?;
    let wrong = wrong(command, &info);
    let (key, value) = sizes(&info);
    let position = position_size(&info);
    if from.is_some_and(|from| from.len() != position) || count == 0 {
        return Err(wrong(Errno::EINVAL));
    }
    let total = |size: usize| (count as usize).checked_mul(size).filter(|n| *n <= MOST);
    let (Some(keys), Some(values)) = (total(key), total(value)) else {
        return Err(wrong(Errno::E2BIG));
    };
    let (mut keys, mut values) = (vec![0u8; keys], vec![0u8; values]);
    // The kernel copies a key's size here for some types, 4 bytes for others: room for both.
    let mut next = vec![0u8; position.max(key).max(8)];
    let attr = MapBatch {
        in_batch: from.map_or(0, |from| from.as_ptr() as u64),
        out_batch: next.as_mut_ptr() as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count,
        map_fd: map.number(),
        ..MapBatch::default()
    };
    let mut bytes = attr.to_bytes();
    // SAFETY: keys and values have room for `count`; both positions have at least the size that
    // the kernel reads or writes for this map's type.
    let result = unsafe { bpf(command, &mut bytes) };
    let moved = MapBatch::from_bytes(&bytes).map_or(0, |a| a.count.min(count));
    let next = match result {
        Ok(_) => {
            next.truncate(position);
            Some(next)
        }
        Err(Errno::ENOENT) => None,
        Err(errno) => return Err(wrong(errno)),
    };
    keys.truncate(moved as usize * key);
    values.truncate(moved as usize * value);
    Ok(Batch {
        keys,
        values,
        count: moved,
        next,
    })
}

/// How many keys these bytes are.
fn count_of(keys: &[u8], size: usize) -> Option<u32> {
    let whole = size > 0 && !keys.is_empty() && keys.len().is_multiple_of(size);
    whole
        .then(|| u32::try_from(keys.len() / size).ok())
        .flatten()
}

pub fn update(map: &Fd, keys: &[u8], values: &[u8], flags: u64) -> Result<u32, Failure> {
    let info = raw_info(map)?;
    let wrong = wrong(Command::MapUpdateBatch, &info);
    let (key, value) = sizes(&info);
    let count = count_of(keys, key).filter(|n| *n as usize * value == values.len());
    let count = count.ok_or_else(|| wrong(Errno::EINVAL))?;
    let attr = MapBatch {
        keys: keys.as_ptr() as u64,
        values: values.as_ptr() as u64,
        count,
        map_fd: map.number(),
        elem_flags: flags,
        ..MapBatch::default()
    };
    let mut bytes = attr.to_bytes();
    // SAFETY: there are `count` keys and values of the sizes that the kernel copies in.
    unsafe { bpf(Command::MapUpdateBatch, &mut bytes) }.map_err(wrong)?;
    Ok(MapBatch::from_bytes(&bytes).map_or(0, |a| a.count))
}

pub fn delete(map: &Fd, keys: &[u8]) -> Result<u32, Failure> {
    let info = raw_info(map)?;
    let wrong = wrong(Command::MapDeleteBatch, &info);
    let count = count_of(keys, info.key_size as usize).ok_or_else(|| wrong(Errno::EINVAL))?;
    let attr = MapBatch {
        keys: keys.as_ptr() as u64,
        count,
        map_fd: map.number(),
        ..MapBatch::default()
    };
    let mut bytes = attr.to_bytes();
    // SAFETY: there are `count` keys of the size that the kernel copies in.
    match unsafe { bpf(Command::MapDeleteBatch, &mut bytes) } {
        Ok(_) | Err(Errno::ENOENT) => Ok(MapBatch::from_bytes(&bytes).map_or(0, |a| a.count)),
        Err(errno) => Err(wrong(errno)),
    }
}
