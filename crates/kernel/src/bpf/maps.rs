//! `BPF_MAP_*`

use std::sync::Arc;

use panal_btf::TypeId;
use panal_maps::{CreateError, MapDef, create_map, syscall};
use panal_uapi::{
    Errno, MapType,
    kernel::{Failure, Fd, MapFlags, MapSpec},
};

use super::{fail, fields};
use crate::{
    PanalKernel,
    fds::Object,
    maps::Map,
    objects::{BtfObject, object_name},
};

const CREATE: &str = "BPF_MAP_CREATE";

/// Most bytes of a map's contents; more than fits into the cage fails later, with ENOMEM.
type Types = Option<(Arc<BtfObject>, TypeId, TypeId)>;

/// The map's types, where they fit its sizes.
fn types(kernel: &PanalKernel, spec: &MapSpec) -> Result<Types, Failure> {
    let Some((fd, key, value)) = &spec.btf else {
        return Ok(None);
    };
    let btf = kernel
        .shared
        .fds
        .btf(fd.number())
        .map_err(|e| fail(CREATE, e, format!("descriptor {} is no BTF", fd.number())))?;
    let check = |what: &str, id: TypeId, size: u32| {
        let found = if id == TypeId::VOID {
            None
        } else {
            btf.btf.size_of(id)
        };
        // Maps without keys (queues, ring buffers) have void ones.
        match found {
            None if id == TypeId::VOID && size == 0 => Ok(()),
            Some(found) if found == size => Ok(()),
            Some(found) => Err(fail(
                CREATE,
                Errno::EINVAL,
                format!(
                    "BTF type {} of the {what} has {found} bytes, the map {size}",
                    id.0
                ),
            )),
            None => Err(fail(
                CREATE,
                Errno::EINVAL,
                format!("BTF type {} of the {what} has no size", id.0),
            )),
        }
    };
    if *value != TypeId::VOID {
        check("value", *value, spec.value_size)?;
        if *key != TypeId::VOID {
            check("key", *key, spec.key_size)?;
        }
    }
    Ok(Some((btf, *key, *value)))
}

pub(super) fn create(kernel: &PanalKernel, spec: &MapSpec) -> Result<Fd, Failure> {
    let name = object_name(&spec.name).map_err(|e| {
        fail(
            CREATE,
            e,
            format!("name {:?}: only letters, digits, `_` and `.`", spec.name),
        )
    })?;
    let in_map = |detail: String| format!("map {name}: {detail}");
    if spec.vmlinux_value_type.is_some() {
        return Err(fail(
            CREATE,
            Errno::ENOTSUPP,
            in_map("struct_ops is not supported".into()),
        ));
    }
    if spec.numa_node != 0 && spec.flags.contains(MapFlags::NUMA_NODE) {
        return Err(fail(
            CREATE,
            Errno::EINVAL,
            in_map("there is one NUMA node, 0".into()),
        ));
    }
    let inner = match &spec.inner {
        None => None,
        Some(fd) => Some(kernel.shared.fds.map(fd.number()).map_err(|e| {
            fail(
                CREATE,
                e,
                in_map("the inner map's descriptor is no map".into()),
            )
        })?),
    };
    let types = types(kernel, spec)?;
    let special = match &types {
        Some((btf, _, value)) if *value != TypeId::VOID => fields::of(&btf.btf, *value),
        _ => fields::Fields::default(),
    };
    let def = MapDef {
        map_type: spec.map_type,
        key_size: spec.key_size,
        value_size: spec.value_size,
        max_entries: spec.max_entries,
        // The node is 0, where everything is.
        flags: spec.flags.difference(MapFlags::NUMA_NODE),
        extra: spec.extra,
        fields: special.fields,
        spin_lock: special.spin_lock,
    };
    let template = inner.as_ref().map(|map| map.core.base().def());
    let core = create_map(&kernel.shared.map_host, &def, template)
        .map_err(|CreateError { errno, detail }| fail(CREATE, errno, in_map(detail)))?;
    let map = kernel.shared.maps.publish(|id| Map {
        id,
        name: name.into(),
        types,
        inner: inner.map(|map| map.describe()),
        core,
    });
    kernel.open(CREATE, Object::Map(map))
}

fn in_map<'a>(command: &'static str, map: &'a Map) -> impl FnOnce(Errno) -> Failure + use<'a> {
    move |errno| {
        fail(
            command,
            errno,
            format!("map {} ({})", map.name(), map.map_type()),
        )
    }
}

pub(super) fn lookup(
    kernel: &PanalKernel,
    map: &Fd,
    key: &[u8],
    flags: u64,
) -> Result<Option<Vec<u8>>, Failure> {
    let map = kernel.map(map)?;
    match syscall::lookup(&*map.core, key, None, flags) {
        Ok(value) => Ok(Some(value)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(in_map("BPF_MAP_LOOKUP_ELEM", &map)(errno)),
    }
}

pub(super) fn update(
    kernel: &PanalKernel,
    map: &Fd,
    key: &[u8],
    value: &[u8],
    flags: u64,
) -> Result<(), Failure> {
    let map = kernel.map(map)?;
    syscall::update(&*map.core, key, value, flags).map_err(in_map("BPF_MAP_UPDATE_ELEM", &map))
}

pub(super) fn delete(kernel: &PanalKernel, map: &Fd, key: &[u8]) -> Result<bool, Failure> {
    let map = kernel.map(map)?;
    match syscall::delete(&*map.core, key) {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(in_map("BPF_MAP_DELETE_ELEM", &map)(errno)),
    }
}

pub(super) fn next_key(
    kernel: &PanalKernel,
    map: &Fd,
    key: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, Failure> {
    let map = kernel.map(map)?;
    syscall::next_key(&*map.core, key).map_err(in_map("BPF_MAP_GET_NEXT_KEY", &map))
}

pub(super) fn freeze(kernel: &PanalKernel, map: &Fd) -> Result<(), Failure> {
    let map = kernel.map(map)?;
    syscall::freeze(&*map.core).map_err(in_map("BPF_MAP_FREEZE", &map))
}

pub(super) fn ring_buffer_consume(
    kernel: &PanalKernel,
    map: &Fd,
    _sink: &mut dyn FnMut(&[u8]),
) -> Result<usize, Failure> {
    let map = kernel.map(map)?;
    Err(in_map("consume", &map)(Errno::EINVAL))
}

pub(super) fn perf_buffer_consume(
    kernel: &PanalKernel,
    map: &Fd,
    _sink: &mut dyn FnMut(u32, &[u8]),
    _lost: &mut dyn FnMut(u32, u64),
) -> Result<usize, Failure> {
    let map = kernel.map(map)?;
    let _ = MapType::PerfEventArray;
    Err(in_map("consume", &map)(Errno::EINVAL))
}
