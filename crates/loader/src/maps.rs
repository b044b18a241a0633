//! Creates maps: with their types, templates, first contents and pins.

use std::sync::Arc;

use panal_btf::TypeId;
use panal_object::{Element, MapDefinition, Object, Origin, Segment};
use panal_uapi::{
    MapType,
    kernel::{Fd, Kernel, MapFlags, MapInfo, MapSpec, update},
};

use crate::{Error, MapPlan, Open, error::Doing, kconfig, open::MAX_DATA};

/// Bytes of a page: ring buffers are whole powers of two of it.
const PAGE: u32 = 4096;

/// Creates a map, or takes the one that is there.
pub(crate) fn create(
    open: &Open,
    plan: &MapPlan,
    kernel: &dyn Kernel,
    btf: Option<&Fd>,
) -> Result<Fd, Error> {
    if let Some(fd) = &plan.reuse {
        return Ok(fd.clone());
    }
    let spec = spec(open, plan, kernel, btf)?;
    if let Some(path) = &plan.pin_path {
        let found = kernel
            .get_pinned(path)
            .doing(|| format!("opening {path}"))?;
        if let Some(fd) = found {
            return pinned(plan, &spec, path, fd, kernel);
        }
    }
    let fd = create_with_types(spec, kernel, &plan.name)?;
    fill(open, plan, &fd, kernel)?;
    if let Some(path) = &plan.pin_path {
        kernel
            .pin(&fd, path)
            .doing(|| format!("pinning map {} at {path}", plan.name))?;
    }
    Ok(fd)
}

fn spec(
    open: &Open,
    plan: &MapPlan,
    kernel: &dyn Kernel,
    btf: Option<&Fd>,
) -> Result<MapSpec, Error> {
    let map = open.object.map(plan.id);
    let definition = &map.definition;
    let name = map.kernel_name(&open.name);
    let inner = match &definition.inner {
        Some(inner) => Some(create_inner(inner, plan, kernel, btf)?),
        None => None,
    };
    let mut flags = plan.flags;
    flags.set(MapFlags::NUMA_NODE, plan.numa_node.is_some());
    Ok(MapSpec {
        name,
        map_type: plan.map_type,
        key_size: plan.key_size,
        value_size: plan.value_size,
        max_entries: capacity(plan.map_type, plan.max_entries, kernel),
        flags,
        extra: definition.extra,
        numa_node: plan.numa_node.unwrap_or(0),
        inner,
        btf: map_types(plan.map_type, definition, btf),
        vmlinux_value_type: None,
    })
}

/// The capacity that a kernel takes: perf event arrays have an element a CPU, ring buffers a size
/// that is a power of two of pages.
fn capacity(ty: MapType, asked: u32, kernel: &dyn Kernel) -> u32 {
    match ty {
        MapType::PerfEventArray if asked == 0 => kernel.cpus(),
        MapType::Ringbuf | MapType::UserRingbuf if asked != 0 => {
            asked.max(PAGE).checked_next_power_of_two().unwrap_or(asked)
        }
        _ => asked,
    }
}

/// Key and value type, for map types that take them.
fn map_types(
    ty: MapType,
    definition: &MapDefinition,
    btf: Option<&Fd>,
) -> Option<(Fd, TypeId, TypeId)> {
    use MapType::*;
    let takes_none = matches!(
        ty,
        PerfEventArray
            | CgroupArray
            | StackTrace
            | ArrayOfMaps
            | HashOfMaps
            | Devmap
            | DevmapHash
            | Cpumap
            | Xskmap
            | Sockmap
            | Sockhash
            | Queue
            | Stack
            | Arena
            | ProgArray
            | Ringbuf
            | UserRingbuf
    );
    if takes_none {
        return None;
    }
    let value = definition.value_type?;
    Some((
        btf?.clone(),
        definition.key_type.unwrap_or(TypeId::VOID),
        value,
    ))
}

/// A map that only shows the kernel what the maps within are like.
fn create_inner(
    inner: &MapDefinition,
    plan: &MapPlan,
    kernel: &dyn Kernel,
    btf: Option<&Fd>,
) -> Result<Fd, Error> {
    let map = format!("{}.inner", plan.name);
    let number = inner.map_type;
    let map_type = MapType::from_number(number).ok_or_else(|| Error::MapType {
        map: map.clone(),
        number,
    })?;
    let mut flags = MapFlags::from_bits_retain(inner.flags);
    flags.set(MapFlags::NUMA_NODE, inner.numa_node.is_some());
    let spec = MapSpec {
        name: map.chars().take(15).collect(),
        map_type,
        key_size: inner.key_size,
        value_size: inner.value_size,
        max_entries: capacity(map_type, inner.max_entries, kernel),
        flags,
        extra: inner.extra,
        numa_node: inner.numa_node.unwrap_or(0),
        inner: None,
        btf: map_types(map_type, inner, btf),
        vmlinux_value_type: None,
    };
    create_with_types(spec, kernel, &map)
}

/// Creates a map; without types if the kernel does not take them for it.
fn create_with_types(mut spec: MapSpec, kernel: &dyn Kernel, name: &str) -> Result<Fd, Error> {
    let doing = || format!("creating map {name}");
    let first = kernel.map_create(&spec);
    if first.is_ok() || spec.btf.is_none() {
        return first.doing(doing);
    }
    spec.btf = None;
    kernel.map_create(&spec).or(first).doing(doing)
}

fn pinned(
    plan: &MapPlan,
    spec: &MapSpec,
    path: &str,
    fd: Fd,
    kernel: &dyn Kernel,
) -> Result<Fd, Error> {
    let info = kernel
        .map_info(&fd)
        .doing(|| format!("asking what is pinned at {path}"))?;
    match difference(spec, &info) {
        None => Ok(fd),
        Some(difference) => Err(Error::Pinned {
            map: plan.name.clone(),
            path: path.to_owned(),
            difference,
        }),
    }
}

fn difference(spec: &MapSpec, info: &MapInfo) -> Option<String> {
    let differ = |what: &str, asked: String, there: String| {
        (asked != there).then(|| format!("{what} {there} instead of {asked}"))
    };
    differ("type", spec.map_type.to_string(), info.map_type.to_string())
        .or_else(|| {
            differ(
                "key size",
                spec.key_size.to_string(),
                info.key_size.to_string(),
            )
        })
        .or_else(|| {
            differ(
                "value size",
                spec.value_size.to_string(),
                info.value_size.to_string(),
            )
        })
        .or_else(|| {
            differ(
                "capacity",
                spec.max_entries.to_string(),
                info.max_entries.to_string(),
            )
        })
        .or_else(|| {
            let hex = |flags: MapFlags| format!("{:#x}", flags.bits());
            differ("flags", hex(spec.flags), hex(info.flags))
        })
}

/// Writes the first contents of data sections and freezes those that are constant.
fn fill(open: &Open, plan: &MapPlan, fd: &Fd, kernel: &dyn Kernel) -> Result<(), Error> {
    let object: &Arc<Object> = &open.object;
    if let Origin::Arena(data) = &object.map(plan.id).origin {
        let mut contents = data.contents.clone();
        contents.resize(data.size as usize, 0);
        return kernel
            .arena_write(fd, 0, &contents)
            .doing(|| format!("setting the variables of arena {}", plan.name));
    }
    let (contents, constant) = match &object.map(plan.id).origin {
        Origin::Data(data) => {
            if plan.value_size > MAX_DATA {
                let fault = format!("{} bytes of global variables are too many", plan.value_size);
                return Err(Error::Map {
                    map: plan.name.clone(),
                    fault,
                });
            }
            let constant = data.segment == Segment::Rodata;
            match &plan.contents {
                Some(contents) => (contents.clone(), constant),
                // .bss is zero as every new map.
                None if data.contents.is_empty() => return Ok(()),
                None => (data.contents.clone(), constant),
            }
        }
        Origin::Kconfig { size } => (kconfig::contents(object, *size, kernel)?, true),
        _ => return Ok(()),
    };
    let mut value = contents;
    value.resize(plan.value_size as usize, 0);
    let key = 0u32.to_ne_bytes();
    kernel
        .map_update(fd, &key, &value, update::BPF_ANY)
        .doing(|| format!("setting global data {}", plan.name))?;
    if constant {
        kernel
            .map_freeze(fd)
            .doing(|| format!("freezing global data {}", plan.name))?;
    }
    Ok(())
}

/// Puts maps into the maps of maps that hold them from the start.
pub(crate) fn fill_outer(
    open: &Open,
    plan: &MapPlan,
    fds: &[Result<Fd, Error>],
    kernel: &dyn Kernel,
) -> Result<(), Error> {
    let Origin::Defined(elements) = &open.object.map(plan.id).origin else {
        return Ok(());
    };
    if plan.reuse.is_some() {
        return Ok(());
    }
    for (key, element) in elements {
        let Element::Map(inner) = element else {
            continue;
        };
        let outer = fds[plan.id.index()].clone()?;
        let inner = fds[inner.index()].clone()?;
        kernel
            .map_update(
                &outer,
                &key.to_ne_bytes(),
                &inner.number().to_ne_bytes(),
                update::BPF_ANY,
            )
            .doing(|| format!("setting element {key} of map {}", plan.name))?;
    }
    Ok(())
}
