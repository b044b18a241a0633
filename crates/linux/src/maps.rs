//! Maps: create, look up, change, walk.

use panal_btf::TypeId;
use panal_uapi::{
    Command, Errno, MapType,
    attr::{GetInfo, MapCreate, MapElem, MapInfoBytes, object_name},
    kernel::{Failure, Fd, MapFlags, MapInfo, MapSpec},
};

use crate::{
    inspect::FdInfo,
    kernel::possible_cpus,
    rights,
    sys::{bpf, failure, into_fd},
};

/// `BPF_MAP_CREATE`
pub fn create(spec: &MapSpec) -> Result<Fd, Failure> {
    let (btf_fd, key, value) = match &spec.btf {
        Some((fd, key, value)) => (fd.number(), key.0, value.0),
        None => (0, 0, 0),
    };
    let mut attr = MapCreate {
        map_type: spec.map_type.number(),
        key_size: spec.key_size,
        value_size: spec.value_size,
        max_entries: spec.max_entries,
        map_flags: spec.flags.bits(),
        inner_map_fd: spec.inner.as_ref().map_or(0, Fd::number),
        numa_node: spec.numa_node,
        map_name: object_name(&spec.name),
        btf_fd,
        btf_key_type_id: key,
        btf_value_type_id: value,
        btf_vmlinux_value_type_id: spec.vmlinux_value_type.map_or(0, |t| t.0),
        map_extra: spec.extra,
        ..MapCreate::default()
    };
    let first = raw_create(&attr);
    // Some map types refuse BTF with ENOTSUPP; loaders then do without, and so do we.
    let retry = matches!(first, Err(Errno::ENOTSUPP | Errno::EINVAL)) && btf_fd > 0;
    let result = if retry && spec.vmlinux_value_type.is_none() {
        attr.btf_fd = 0;
        attr.btf_key_type_id = 0;
        attr.btf_value_type_id = 0;
        raw_create(&attr)
    } else {
        first
    };
    result.map(into_fd).map_err(|errno| {
        let why = match errno {
            Errno::EPERM => rights::missing_for_bpf(rights::of_map(spec.map_type)),
            _ => None,
        };
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        let detail = format!("map {} ({}){why}", spec.name, spec.map_type);
        failure(Command::MapCreate, errno, detail)
    })
}

fn raw_create(attr: &MapCreate) -> Result<i32, Errno> {
    // SAFETY: the attribute holds no addresses.
    unsafe { bpf(Command::MapCreate, &mut attr.to_bytes()) }
}

/// `BPF_OBJ_GET_INFO_BY_FD` for a map, with what only the descriptor's fdinfo tells.
pub fn info(map: &Fd) -> Result<MapInfo, Failure> {
    let told = FdInfo::of(map);
    let jited = told.number("owner_jited") == Some(1);
    Ok(MapInfo {
        frozen: told.number("frozen") == Some(1),
        memlock: told.number("memlock").unwrap_or(0),
        owner: told.number("owner_prog_type").map(|owner| (owner, jited)),
        ..raw_info(map)?
    })
}

/// What the system call itself tells of a map.
pub fn raw_info(map: &Fd) -> Result<MapInfo, Failure> {
    let mut bytes = MapInfoBytes::default().to_bytes();
    let attr = GetInfo {
        bpf_fd: map.number(),
        info_len: bytes.len() as u32,
        info: bytes.as_mut_ptr() as u64,
    };
    // SAFETY: `info` points to `info_len` writable bytes that outlive the call.
    unsafe { bpf(Command::ObjGetInfoByFd, &mut attr.to_bytes()) }
        .map_err(|e| failure(Command::ObjGetInfoByFd, e, ""))?;
    let raw = MapInfoBytes::from_bytes(&bytes).unwrap_or_default();
    let map_type = MapType::from_number(raw.map_type).unwrap_or(MapType::Unspec);
    let name = raw.name.split(|b| *b == 0).next().unwrap_or_default();
    Ok(MapInfo {
        id: raw.id,
        name: String::from_utf8_lossy(name).into_owned(),
        map_type,
        key_size: raw.key_size,
        value_size: raw.value_size,
        max_entries: raw.max_entries,
        flags: MapFlags::from_bits_retain(raw.map_flags),
        extra: raw.map_extra,
        btf_id: raw.btf_id,
        btf_key_type_id: TypeId(raw.btf_key_type_id),
        btf_value_type_id: TypeId(raw.btf_value_type_id),
        btf_vmlinux_value_type_id: TypeId(raw.btf_vmlinux_value_type_id),
        frozen: false,
        memlock: 0,
        owner: None,
    })
}

/// Bytes of the value as the system call moves it.
pub fn user_value_size(info: &MapInfo, cpus: u32) -> usize {
    let rounded = info.value_size.div_ceil(8) as usize * 8;
    match info.map_type {
        MapType::PercpuHash
        | MapType::PercpuArray
        | MapType::LruPercpuHash
        | MapType::PercpuCgroupStorage => rounded * cpus as usize,
        MapType::ArrayOfMaps | MapType::HashOfMaps | MapType::ProgArray => 4,
        _ => info.value_size as usize,
    }
}

fn element(map: &Fd, key: &[u8], value: *const u8, flags: u64) -> MapElem {
    MapElem {
        map_fd: map.number(),
        pad: 0,
        key: if key.is_empty() {
            0
        } else {
            key.as_ptr() as u64
        },
        value: value as u64,
        flags,
    }
}

fn check_key(command: Command, info: &MapInfo, key: &[u8]) -> Result<(), Failure> {
    if key.len() == info.key_size as usize {
        return Ok(());
    }
    let detail = format!(
        "key of {} bytes for map {} with {}",
        key.len(),
        info.name,
        info.key_size
    );
    Err(failure(command, Errno::EINVAL, detail))
}

/// `BPF_MAP_LOOKUP_ELEM`
pub fn lookup(map: &Fd, key: &[u8], flags: u64, cpus: u32) -> Result<Option<Vec<u8>>, Failure> {
    let info = raw_info(map)?;
    check_key(Command::MapLookupElem, &info, key)?;
    let mut value = vec![0u8; user_value_size(&info, cpus)];
    let attr = element(map, key, value.as_mut_ptr(), flags);
    // SAFETY: the key has the map's key size, the value the size that the kernel copies out.
    match unsafe { bpf(Command::MapLookupElem, &mut attr.to_bytes()) } {
        Ok(_) => Ok(Some(value)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(failure(
            Command::MapLookupElem,
            errno,
            format!("map {}", info.name),
        )),
    }
}

/// `BPF_MAP_LOOKUP_AND_DELETE_ELEM`
pub fn lookup_and_delete(map: &Fd, key: &[u8], flags: u64) -> Result<Option<Vec<u8>>, Failure> {
    const COMMAND: Command = Command::MapLookupAndDeleteElem;
    let info = raw_info(map)?;
    check_key(COMMAND, &info, key)?;
    let mut value = vec![0u8; user_value_size(&info, possible_cpus())];
    let attr = element(map, key, value.as_mut_ptr(), flags);
    // SAFETY: the key has the map's key size, the value the size that the kernel copies out.
    match unsafe { bpf(COMMAND, &mut attr.to_bytes()) } {
        Ok(_) => Ok(Some(value)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(failure(COMMAND, errno, format!("map {}", info.name))),
    }
}

/// `BPF_MAP_UPDATE_ELEM`
pub fn update(map: &Fd, key: &[u8], value: &[u8], flags: u64, cpus: u32) -> Result<(), Failure> {
    let info = raw_info(map)?;
    check_key(Command::MapUpdateElem, &info, key)?;
    let size = user_value_size(&info, cpus);
    if value.len() != size {
        let detail = format!(
            "value of {} bytes for map {}, which wants {size}",
            value.len(),
            info.name
        );
        return Err(failure(Command::MapUpdateElem, Errno::EINVAL, detail));
    }
    let attr = element(map, key, value.as_ptr(), flags);
    // SAFETY: key and value have the sizes that the kernel copies in.
    unsafe { bpf(Command::MapUpdateElem, &mut attr.to_bytes()) }
        .map(drop)
        .map_err(|e| failure(Command::MapUpdateElem, e, format!("map {}", info.name)))
}

/// `BPF_MAP_DELETE_ELEM`
pub fn delete(map: &Fd, key: &[u8]) -> Result<bool, Failure> {
    let info = raw_info(map)?;
    check_key(Command::MapDeleteElem, &info, key)?;
    let attr = element(map, key, std::ptr::null(), 0);
    // SAFETY: the key has the map's key size.
    match unsafe { bpf(Command::MapDeleteElem, &mut attr.to_bytes()) } {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(failure(
            Command::MapDeleteElem,
            errno,
            format!("map {}", info.name),
        )),
    }
}

/// `BPF_MAP_GET_NEXT_KEY`
pub fn next_key(map: &Fd, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, Failure> {
    let info = raw_info(map)?;
    if let Some(key) = key {
        check_key(Command::MapGetNextKey, &info, key)?;
    }
    let mut next = vec![0u8; info.key_size as usize];
    let attr = element(map, key.unwrap_or_default(), next.as_mut_ptr(), 0);
    // SAFETY: both keys have the map's key size.
    match unsafe { bpf(Command::MapGetNextKey, &mut attr.to_bytes()) } {
        Ok(_) => Ok(Some(next)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(failure(
            Command::MapGetNextKey,
            errno,
            format!("map {}", info.name),
        )),
    }
}

/// `BPF_MAP_FREEZE`
pub fn freeze(map: &Fd) -> Result<(), Failure> {
    let attr = MapElem {
        map_fd: map.number(),
        ..MapElem::default()
    };
    // SAFETY: the attribute holds no addresses.
    unsafe { bpf(Command::MapFreeze, &mut attr.to_bytes()[..4]) }
        .map(drop)
        .map_err(|e| failure(Command::MapFreeze, e, ""))
}
