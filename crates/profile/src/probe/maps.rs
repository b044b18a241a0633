//! Map types: one of each is made, as small as may be.

use std::collections::BTreeMap;

use panal_btf::TypeId;
use panal_uapi::{
    Errno, MapType,
    kernel::{Kernel, MapFlags, MapSpec},
};

use super::loads::refused;
use crate::Answer;

/// Types of which maps can be made.
pub fn types(kernel: &dyn Kernel) -> BTreeMap<String, Answer> {
    let known = MapType::ALL.iter().filter(|t| **t != MapType::Unspec);
    known
        .map(|&map_type| (map_type.short_name().to_owned(), ask(kernel, map_type)))
        .collect()
}

fn ask(kernel: &dyn Kernel, map_type: MapType) -> Answer {
    let mut spec = plain(map_type);
    if matches!(map_type, MapType::ArrayOfMaps | MapType::HashOfMaps) {
        spec.inner = kernel.map_create(&plain(MapType::Hash)).ok();
    }
    if needs_types(map_type) {
        let fd = kernel.btf_load(&local_storage_types());
        spec.btf = fd.ok().map(|fd| (fd, TypeId(1), TypeId(1)));
    }
    let Err(failure) = kernel.map_create(&spec) else {
        return Answer::YES;
    };
    match failure.errno {
        // The type of its values is none of a struct_ops.
        Errno::ENOTSUPP | Errno::ENOENT if map_type == MapType::StructOps => Answer::YES,
        Errno::EINVAL => Answer::NO,
        // It is known, and lacks memory or the like.
        Errno::ENOMEM | Errno::E2BIG => Answer::YES,
        errno => refused(errno),
    }
}

/// What storage of sockets, tasks and the like insists on: a type for its value.
fn needs_types(map_type: MapType) -> bool {
    matches!(
        map_type,
        MapType::SkStorage | MapType::InodeStorage | MapType::TaskStorage | MapType::CgrpStorage
    )
}

/// BTF with one type, `int`.
fn local_storage_types() -> Vec<u8> {
    const MAGIC: u16 = 0xeb9f;
    const VERSION_AND_FLAGS: u16 = 1;
    const KIND_INT: u32 = 1 << 24;
    const SIGNED_32_BITS: u32 = 1 << 24 | 32;
    let types = [1u32, KIND_INT, 4, SIGNED_32_BITS];
    let strings = b"\0int\0";
    let len = size_of_val(&types) as u32;
    let mut bytes = Vec::new();
    bytes.extend(MAGIC.to_le_bytes());
    bytes.extend(VERSION_AND_FLAGS.to_le_bytes());
    for word in [24, 0, len, len, strings.len() as u32] {
        bytes.extend(u32::to_le_bytes(word));
    }
    for word in types {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(strings);
    bytes
}

fn plain(map_type: MapType) -> MapSpec {
    const PAGE: u32 = 4096;
    let (key_size, value_size, max_entries) = match map_type {
        MapType::StackTrace => (4, 8, 1),
        MapType::LpmTrie => (8, 4, 1),
        MapType::CgroupStorage | MapType::PercpuCgroupStorage => (8, 4, 0),
        MapType::Queue | MapType::Stack | MapType::BloomFilter => (0, 4, 1),
        MapType::SkStorage
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::CgrpStorage => (4, 4, 0),
        MapType::Ringbuf | MapType::UserRingbuf => (0, 0, PAGE),
        MapType::Arena => (0, 0, 1),
        MapType::StructOps => (4, 4, 1),
        _ => (4, 4, 1),
    };
    MapSpec {
        vmlinux_value_type: (map_type == MapType::StructOps).then_some(TypeId(1)),
        ..MapSpec::new(map_type, key_size, value_size, max_entries)
            .named("probe")
            .with_flags(MapFlags::needed_by(map_type))
    }
}
