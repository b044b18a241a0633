//! `BPF_MAP_*`

use std::{sync::Arc, time::Duration};

use panal_btf::TypeId;
use panal_maps::{
    CreateError, MapDef, Object, ObjectArray, ObjectHash, PerfEventArray, RedirectArray, RingBuf,
    UserRingBuf, create_map, describe_map, fits_template, is_supported, syscall,
};
use panal_uapi::{
    AttachType, Capabilities, Errno, MapType,
    kernel::{Failure, Fd, MapFlags, MapSpec},
};

use super::{fail, fields, require};
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
    };
    let map = kernel.shared.maps.publish(|id| new.with_id(id));
    if map.handle == 0 {
        return Err(fail(CREATE, Errno::ENOMEM, in_map("too many maps".into())));
    }
    kernel.open(CREATE, fds::Object::Map(UserMap::new(map)))
}

/// The map behind a descriptor that may read it.
pub(super) fn readable(
    kernel: &PanalKernel,
    map: &Fd,
    command: &'static str,
) -> Result<Arc<Map>, Failure> {
    let user = user_map(kernel, map, command)?;
    let map = user.to_read().cloned();
    map.map_err(|e| fail(command, e, "the descriptor is only for writing"))
}

/// The map behind a descriptor that may write it.
pub(super) fn writable(
    kernel: &PanalKernel,
    map: &Fd,
    command: &'static str,
) -> Result<Arc<Map>, Failure> {
    let user = user_map(kernel, map, command)?;
    let map = user.to_write().cloned();
    map.map_err(|e| fail(command, e, "the descriptor is only for reading"))
}

fn user_map(kernel: &PanalKernel, map: &Fd, command: &'static str) -> Result<UserMap, Failure> {
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
    let map = readable(kernel, map, "BPF_MAP_LOOKUP_ELEM")?;
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
    let map = writable(kernel, map, "BPF_MAP_UPDATE_ELEM")?;
    let done = match map.map_type() {
        MapType::ProgArray => set_program(kernel, &map, key, value, flags),
        MapType::ArrayOfMaps | MapType::HashOfMaps => set_map(kernel, &map, key, value, flags),
        MapType::Devmap | MapType::Cpumap => set_target(kernel, &map, key, value, flags),
        MapType::PerfEventArray | MapType::CgroupArray | MapType::Xskmap => Err(Errno::EBADF),
        _ => syscall::update(&*map.core, key, value, flags),
    };
    done.map_err(in_map("BPF_MAP_UPDATE_ELEM", &map))
}

/// A descriptor that user space stores as a value.
fn descriptor(value: &[u8]) -> Result<i32, Errno> {
    value
        .try_into()
        .map(i32::from_ne_bytes)
        .map_err(|_| Errno::EINVAL)
}

fn check_key(map: &Map, key: &[u8]) -> Result<(), Errno> {
    let def = map.core.base().def();
    if !def.user_access().1 || map.is_frozen() {
        Err(Errno::EPERM)
    } else if key.len() != def.key_size as usize {
        Err(Errno::EINVAL)
    } else {
        Ok(())
    }
}

fn set_program(
    kernel: &PanalKernel,
    map: &Map,
    key: &[u8],
    value: &[u8],
    flags: u64,
) -> Result<(), Errno> {
    check_key(map, key)?;
    let program = kernel.shared.fds.program(descriptor(value)?)?;
    if !map.takes(&program) {
        return Err(Errno::EINVAL);
    }
    let array: &ObjectArray = map.core.as_any().downcast_ref().ok_or(Errno::EINVAL)?;
    array.set(key, Object::new(program.id, program), flags)
}

fn set_map(
    kernel: &PanalKernel,
    map: &Map,
    key: &[u8],
    value: &[u8],
    flags: u64,
) -> Result<(), Errno> {
    check_key(map, key)?;
    let inner = kernel.shared.fds.map(descriptor(value)?)?;
    let template = map.inner_def.as_ref().ok_or(Errno::EINVAL)?;
    if !fits_template(template, inner.core.base().def()) {
        return Err(Errno::EINVAL);
    }
    let object = Object {
        id: inner.id,
        address: inner.handle,
        payload: inner,
    };
    let any = map.core.as_any();
    if let Some(array) = any.downcast_ref::<ObjectArray>() {
        array.set(key, object, flags)
    } else if let Some(hash) = any.downcast_ref::<ObjectHash>() {
        hash.set(key, object, flags)
    } else {
        Err(Errno::EINVAL)
    }
}

/// An entry of a device or CPU map: where to, and a program to run there, whose descriptor may
/// follow.
fn set_target(
    kernel: &PanalKernel,
    map: &Map,
    key: &[u8],
    value: &[u8],
    flags: u64,
) -> Result<(), Errno> {
    check_key(map, key)?;
    let program = match value.get(4..8).map(descriptor).transpose()? {
        Some(fd) if fd > 0 => {
            let program = kernel.shared.fds.program(fd)?;
            let wanted = match map.map_type() {
                MapType::Cpumap => AttachType::XdpCpumap,
                _ => AttachType::XdpDevmap,
            };
            if program.attach_type != Some(wanted) {
                return Err(Errno::EINVAL);
            }
            Some(Object::new(program.id, program))
        }
        _ => None,
    };
    let targets: &RedirectArray = map.core.as_any().downcast_ref().ok_or(Errno::EINVAL)?;
    targets.set(key, value, program, flags)
}

pub(super) fn delete(kernel: &PanalKernel, map: &Fd, key: &[u8]) -> Result<bool, Failure> {
    let map = writable(kernel, map, "BPF_MAP_DELETE_ELEM")?;
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
    let map = readable(kernel, map, "BPF_MAP_GET_NEXT_KEY")?;
    syscall::next_key(&*map.core, key).map_err(in_map("BPF_MAP_GET_NEXT_KEY", &map))
}

pub(super) fn freeze(kernel: &PanalKernel, map: &Fd) -> Result<(), Failure> {
    let map = writable(kernel, map, "BPF_MAP_FREEZE")?;
    syscall::freeze(&*map.core).map_err(in_map("BPF_MAP_FREEZE", &map))
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
    let map = writable(kernel, map, COMMAND)?;
    match map.core.as_any().downcast_ref::<UserRingBuf>() {
        Some(ring) => ring.write(record).map_err(in_map(COMMAND, &map)),
        None => Err(in_map("user ring buffer", &map)(Errno::EINVAL)),
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
