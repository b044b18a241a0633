//! `BPF_MAP_*`

use std::{sync::Arc, time::Duration};

use panal_btf::TypeId;
use panal_maps::{
    Arena, CreateError, MapDef, PerfEventArray, RingBuf, UserRingBuf, create_map, describe_map,
    is_supported, syscall,
};
use panal_uapi::{
    Capabilities, Errno,
    inspect::OpenFlags,
    kernel::{Failure, Fd, MapFlags, MapSpec},
};

use super::{
    fail, fields,
    object_maps::{self, Entry},
    require,
};
use crate::{
    PanalKernel, fds,
    maps::{Map, NewMap, UserMap},
    objects::{BtfObject, object_name},
};

const CREATE: &str = "BPF_MAP_CREATE";

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
    let profile = &kernel.shared.config.profile;
    if !profile.has_map_type(spec.map_type) {
        let ((major, minor), map_type) = (spec.map_type.since(), spec.map_type);
        return Err(fail(
            CREATE,
            Errno::EINVAL,
            in_map(format!(
                "{} has no maps of type {map_type}; Linux {major}.{minor} brought them",
                profile.name
            )),
        ));
    }
    let needed = Capabilities::to_create(spec.map_type);
    let what = format!("creating a map of type {}", spec.map_type);
    require(kernel, CREATE, needed, &in_map(what))?;
    if spec.vmlinux_value_type.is_some() {
        return Err(fail(
            CREATE,
            Errno::ENOTSUPP,
            in_map("Panal's kernel verifies struct_ops programs but does not run them".into()),
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
    // Maps without keys have no types on Linux; clients that are told so do without.
    let types = match spec.key_size {
        0 => None,
        _ => types(kernel, spec)?,
    };
    let special = match &types {
        Some((btf, _, value)) if *value != TypeId::VOID => fields::of(&btf.btf, *value),
        _ => fields::Fields::default(),
    };
    if let Some(field) = special.refused_by(spec.map_type) {
        let map_type = spec.map_type;
        let detail = in_map(format!("values of a {map_type} have no {field}"));
        return Err(fail(CREATE, Errno::EOPNOTSUPP, detail));
    }
    let def = MapDef {
        map_type: spec.map_type,
        key_size: spec.key_size,
        value_size: spec.value_size,
        max_entries: spec.max_entries,
        flags: spec.flags,
        extra: spec.extra,
        fields: special.fields,
        spin_lock: special.spin_lock,
    };
    let template = inner.as_ref().map(|map| map.core.base().def());
    let described = kernel.shared.config.verify_only && !is_supported(def.map_type);
    let core = if described {
        describe_map(&def)
    } else {
        create_map(&kernel.shared.map_host, &def, template)
    };
    let core = core.map_err(|CreateError { errno, detail }| fail(CREATE, errno, in_map(detail)))?;
    let new = NewMap {
        name: name.as_str().into(),
        types,
        inner_def: template.cloned(),
        inner: inner.as_ref().map(|map| map.describe()),
        core,
        handles: kernel.shared.handles.clone(),
        kernel_types: kernel.shared.config.profile.btf.clone(),
        timer: special.timer,
        timers: kernel.shared.timers.clone(),
        work: special.work,
        works: kernel.shared.works.clone(),
    };
    let map = kernel.shared.maps.publish(|id| new.with_id(id));
    if map.handle == 0 {
        return Err(fail(CREATE, Errno::ENOMEM, in_map("too many maps".into())));
    }
    // Who may read and write is a matter of this descriptor, not of the map.
    let access = OpenFlags::from_bits_retain(spec.flags.bits());
    let access = access & (OpenFlags::RDONLY | OpenFlags::WRONLY);
    kernel.open(CREATE, fds::Object::Map(UserMap::with_flags(map, access)))
}

/// Whether a map may be read through this descriptor.
pub(super) fn may_read(map: &UserMap, command: &'static str) -> Result<(), Failure> {
    let allowed = map.to_read().map(drop);
    allowed.map_err(|e| fail(command, e, "the descriptor is only for writing"))
}

/// Whether a map may be written through this descriptor.
pub(super) fn may_write(map: &UserMap, command: &'static str) -> Result<(), Failure> {
    let allowed = map.to_write().map(drop);
    allowed.map_err(|e| fail(command, e, "the descriptor is only for reading"))?;
    match map.map().is_frozen() {
        true => Err(fail(command, Errno::EPERM, "the map is frozen")),
        false => Ok(()),
    }
}

/// The map behind a descriptor, when this can be a key of it.
fn sized(
    kernel: &PanalKernel,
    map: &Fd,
    command: &'static str,
    key: &[u8],
) -> Result<UserMap, Failure> {
    let user = user_map(kernel, map, command)?;
    match key.len() == user.map().core.base().def().key_size as usize {
        true => Ok(user),
        false => Err(in_map(command, user.map())(Errno::EINVAL)),
    }
}

/// The map that this key is read from.
fn to_read(
    kernel: &PanalKernel,
    map: &Fd,
    command: &'static str,
    key: &[u8],
) -> Result<Arc<Map>, Failure> {
    let user = sized(kernel, map, command, key)?;
    may_read(&user, command)?;
    Ok(user.map().clone())
}

/// The map that this key is changed in.
fn to_write(
    kernel: &PanalKernel,
    map: &Fd,
    command: &'static str,
    key: &[u8],
) -> Result<Arc<Map>, Failure> {
    let user = sized(kernel, map, command, key)?;
    may_write(&user, command)?;
    Ok(user.map().clone())
}

pub(super) fn user_map(
    kernel: &PanalKernel,
    map: &Fd,
    command: &'static str,
) -> Result<UserMap, Failure> {
    let number = map.number();
    let found = kernel.shared.fds.user_map(number);
    found.map_err(|e| fail(command, e, format!("descriptor {number} is no map")))
}

pub(super) fn in_map<'a>(
    command: &'static str,
    map: &'a Map,
) -> impl FnOnce(Errno) -> Failure + use<'a> {
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
    let map = to_read(kernel, map, "BPF_MAP_LOOKUP_ELEM", key)?;
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
    const COMMAND: &str = "BPF_MAP_UPDATE_ELEM";
    let user = sized(kernel, map, COMMAND, key)?;
    let map = user.map();
    let wrong = in_map(COMMAND, map);
    if value.len() != map.core.user_value_size() {
        return Err(wrong(Errno::EINVAL));
    }
    may_write(&user, COMMAND)?;
    let entry = Entry {
        map,
        key,
        value,
        flags,
    };
    object_maps::update(kernel, &entry).map_err(wrong)
}

pub(super) fn delete(kernel: &PanalKernel, map: &Fd, key: &[u8]) -> Result<bool, Failure> {
    let map = to_write(kernel, map, "BPF_MAP_DELETE_ELEM", key)?;
    match map.replacing(key, || syscall::delete(&*map.core, key)) {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(in_map("BPF_MAP_DELETE_ELEM", &map)(errno)),
    }
}

pub(super) fn lookup_and_delete(
    kernel: &PanalKernel,
    map: &Fd,
    key: &[u8],
    flags: u64,
) -> Result<Option<Vec<u8>>, Failure> {
    const COMMAND: &str = "BPF_MAP_LOOKUP_AND_DELETE_ELEM";
    let user = sized(kernel, map, COMMAND, key)?;
    may_read(&user, COMMAND)?;
    may_write(&user, COMMAND)?;
    let map = user.map();
    let taken = map.replacing(key, || syscall::lookup_and_delete(&*map.core, key, flags));
    match taken {
        Ok(value) => Ok(Some(value)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(in_map(COMMAND, map)(errno)),
    }
}

pub(super) fn next_key(
    kernel: &PanalKernel,
    map: &Fd,
    key: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, Failure> {
    const COMMAND: &str = "BPF_MAP_GET_NEXT_KEY";
    let user = match key {
        Some(key) => sized(kernel, map, COMMAND, key)?,
        None => user_map(kernel, map, COMMAND)?,
    };
    may_read(&user, COMMAND)?;
    syscall::next_key(&*user.map().core, key).map_err(in_map(COMMAND, user.map()))
}

pub(super) fn freeze(kernel: &PanalKernel, map: &Fd) -> Result<(), Failure> {
    let user = user_map(kernel, map, "BPF_MAP_FREEZE")?;
    may_write(&user, "BPF_MAP_FREEZE")?;
    syscall::freeze(&*user.map().core).map_err(in_map("BPF_MAP_FREEZE", user.map()))
}

pub(super) fn ring_buffer_consume(
    kernel: &PanalKernel,
    map: &Fd,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<usize, Failure> {
    let map = kernel.map(map)?;
    match map.core.as_any().downcast_ref::<RingBuf>() {
        Some(ring) => Ok(ring.consume(sink)),
        None => Err(in_map("ring buffer", &map)(Errno::EINVAL)),
    }
}

pub(super) fn perf_buffer_consume(
    kernel: &PanalKernel,
    map: &Fd,
    sink: &mut dyn FnMut(u32, &[u8]),
    lost: &mut dyn FnMut(u32, u64),
) -> Result<usize, Failure> {
    let map = kernel.map(map)?;
    match map.core.as_any().downcast_ref::<PerfEventArray>() {
        Some(events) => Ok(events.consume(sink, lost)),
        None => Err(in_map("perf buffer", &map)(Errno::EINVAL)),
    }
}

pub(super) fn user_ring_buffer_write(
    kernel: &PanalKernel,
    map: &Fd,
    record: &[u8],
) -> Result<bool, Failure> {
    const COMMAND: &str = "BPF_MAP_UPDATE_ELEM";
    let user = user_map(kernel, map, COMMAND)?;
    may_write(&user, COMMAND)?;
    let map = user.map();
    match map.core.as_any().downcast_ref::<UserRingBuf>() {
        Some(ring) => ring.write(record).map_err(in_map(COMMAND, map)),
        None => Err(in_map("user ring buffer", map)(Errno::EINVAL)),
    }
}

pub(super) fn arena_write(
    kernel: &PanalKernel,
    map: &Fd,
    offset: u64,
    bytes: &[u8],
) -> Result<(), Failure> {
    const COMMAND: &str = "mmap";
    let user = user_map(kernel, map, COMMAND)?;
    may_write(&user, COMMAND)?;
    let map = user.map();
    match map.core.as_any().downcast_ref::<Arena>() {
        Some(arena) => arena.write(offset, bytes).map_err(in_map(COMMAND, map)),
        None => Err(in_map(COMMAND, map)(Errno::EINVAL)),
    }
}

impl PanalKernel {
    /// Waits until a ring buffer or perf event array has something for user space, or a user ring
    /// buffer has room again; false when the time is over first.
    pub fn wait_for_events(&self, map: &Fd, timeout: Duration) -> Result<bool, Failure> {
        let map = self.map(map)?;
        let any = map.core.as_any();
        if let Some(ring) = any.downcast_ref::<RingBuf>() {
            Ok(ring.wait(timeout))
        } else if let Some(ring) = any.downcast_ref::<UserRingBuf>() {
            Ok(ring.wait(timeout))
        } else if let Some(events) = any.downcast_ref::<PerfEventArray>() {
            Ok(events.wait(timeout))
        } else {
            Err(in_map("wait", &map)(Errno::EINVAL))
        }
    }
}
