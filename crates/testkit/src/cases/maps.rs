//! Commands about maps.

use std::collections::BTreeMap;

use panal_uapi::{
    MapType,
    inspect::{ObjectKind, OpenFlags},
    kernel::{Failure, Fd, MapFlags, MapSpec, update},
};

use super::{bytes::number, show_bytes, world::World};
use crate::setup::{self, Head, map_types};

type Answer = Result<String, Failure>;

fn ok(_: ()) -> String {
    "ok".to_owned()
}

fn found(value: Option<String>) -> String {
    value.unwrap_or_else(|| "ENOENT".to_owned())
}

/// The answer to a command.
pub fn apply(world: &mut World<'_>, words: &[&str]) -> Result<Answer, String> {
    let kernel = world.kernel;
    Ok(match *words {
        ["map", name, kind, key, value, entries, ref options @ ..] => {
            create(world, name, kind, [key, value, entries], options)?
        }
        ["open", new, old, how] => open(world, new, old, how)?,
        ["close", name] => {
            world.maps.remove(name).ok_or("no such map")?;
            Ok(String::new())
        }
        ["put", name, ref words @ ..] => {
            let [key, value @ ..] = words else {
                return Err("put NAME KEY VALUE".to_owned());
            };
            let value = value.join(".");
            return update(world, name, key, &value, 0);
        }
        ["update", name, key, value] => update(world, name, key, value, 0)?,
        ["update", name, key, value, how] => update(world, name, key, value, flags(how)?)?,
        ["lookup", name, key] => lookup(world, name, key, 0)?,
        ["lookup", name, key, how] => lookup(world, name, key, flags(how)?)?,
        ["delete", name, key] => {
            let key = world.bytes(key)?;
            let deleted = kernel.map_delete(world.map(name)?.0, &key);
            deleted.map(|there| found(there.then(|| ok(()))))
        }
        ["take", name, key, ref how @ ..] => {
            let how = how.first().map_or(Ok(0), |how| flags(how))?;
            let (map, key) = (world.map(name)?.0, world.bytes(key)?);
            let taken = kernel.map_lookup_and_delete(map, &key, how);
            taken.map(|value| found(value.map(|value| shown(world, name, &value))))
        }
        ["next", name, key] => {
            let (map, key) = (world.map(name)?.0, world.bytes(key)?);
            let key = (!key.is_empty()).then_some(&key[..]);
            let next = kernel.map_next_key(map, key);
            next.map(|key| found(key.map(|key| show_bytes(&key))))
        }
        ["keys", name] => keys(world, name)?.map(|keys| {
            let mut keys: Vec<String> = keys.iter().map(|key| show_bytes(key)).collect();
            keys.sort();
            list(keys)
        }),
        ["dump", name] => dump(world, name)?,
        ["batch", name, count] => batch(world, name, number(count)? as u32, false)?,
        ["batch-take", name, count] => batch(world, name, number(count)? as u32, true)?,
        ["batch-update", name, ref pairs @ ..] => batch_update(world, name, pairs)?,
        ["batch-delete", name, ref keys @ ..] => {
            let keys = keys.iter().map(|key| world.bytes(key));
            let keys = keys.collect::<Result<Vec<_>, _>>()?.concat();
            let deleted = kernel.map_delete_batch(world.map(name)?.0, &keys);
            deleted.map(|count| count.to_string())
        }
        ["freeze", name] => kernel.map_freeze(world.map(name)?.0).map(ok),
        ["drain", name] => drain(world, name)?,
        ["send", name, ref words @ ..] => {
            let record = super::parse_bytes(words)?;
            match kernel.user_ring_buffer_write(world.map(name)?.0, &record) {
                Ok(true) => Ok(ok(())),
                Ok(false) => Ok("full".to_owned()),
                Err(failure) => Err(failure),
            }
        }
        ["poke", name, at, ref words @ ..] => {
            let bytes = super::parse_bytes(words)?;
            let map = world.map(name)?.0;
            let at = number(at)? as usize;
            world.subject.mapping(map, at, bytes.len())?.write(&bytes);
            Ok(ok(()))
        }
        ["peek", name, at, len] => {
            let (at, len) = (number(at)? as usize, number(len)? as usize);
            let mapping = world.subject.mapping(world.map(name)?.0, at, len)?;
            Ok(show_bytes(&mapping.read()))
        }
        ["info", name] => kernel.map_info(world.map(name)?.0).map(|info| {
            format!(
                "{} key {} value {} entries {} flags {:#x} extra {}{}",
                info.map_type,
                info.key_size,
                info.value_size,
                info.max_entries,
                info.flags.bits(),
                info.extra,
                if info.frozen { " frozen" } else { "" }
            )
        }),
        _ => return Err("no such command".to_owned()),
    })
}

fn list(words: Vec<String>) -> String {
    match words.is_empty() {
        true => "nothing".to_owned(),
        false => words.join(" "),
    }
}

/// Flags of an element command.
fn flags(word: &str) -> Result<u64, String> {
    let mut all = 0;
    for part in word.split('|') {
        all |= match part {
            "any" => update::BPF_ANY,
            "noexist" => update::BPF_NOEXIST,
            "exist" => update::BPF_EXIST,
            "lock" => update::BPF_F_LOCK,
            other => number(other)? as u64,
        };
    }
    Ok(all)
}

fn map_flags(text: &str) -> Result<MapFlags, String> {
    let mut all = MapFlags::empty();
    for name in text.split(',') {
        all |= match MapFlags::from_name(&name.to_ascii_uppercase()) {
            Some(flag) => flag,
            None => MapFlags::from_bits_retain(number(name)? as u32),
        };
    }
    Ok(all)
}

fn create(
    world: &mut World<'_>,
    name: &str,
    kind: &str,
    sizes: [&str; 3],
    options: &[&str],
) -> Result<Answer, String> {
    let map_type = MapType::from_name(kind).ok_or("no such map type")?;
    let [key, value, entries] = sizes;
    let size = |word| number(word).map(|n| n as u32);
    let mut spec = setup::map(name, map_type, size(key)?, size(value)?, size(entries)?);
    let mut head = None;
    for option in options {
        match option.split_once('=') {
            Some(("flags", text)) => spec.flags = map_flags(text)?,
            Some(("extra", n)) => spec.extra = number(n)? as u64,
            Some(("numa", n)) => spec.numa_node = number(n)? as u32,
            Some(("inner", name)) => spec.inner = Some(world.map(name)?.0.clone()),
            None if *option == "types" => head = Some(Head::Plain),
            None if *option == "lock" => head = Some(Head::Lock),
            None if *option == "timer" => head = Some(Head::Timer),
            None if *option == "work" => head = Some(Head::Work),
            _ => return Err(format!("{option}: no such option")),
        }
    }
    if let Some(head) = head {
        let types = map_types(world.kernel, spec.key_size, spec.value_size, head);
        spec.btf = Some(types.map_err(|e| e.to_string())?);
    }
    Ok(world.kernel.map_create(&spec).map(|fd| {
        world.maps.insert(name.to_owned(), fd);
        world.specs.insert(name.to_owned(), spec);
        ok(())
    }))
}

fn open(world: &mut World<'_>, new: &str, old: &str, how: &str) -> Result<Answer, String> {
    let (fd, spec) = world.map(old)?;
    let spec = spec.clone();
    let flags = match how {
        "rdonly" => OpenFlags::RDONLY,
        "wronly" => OpenFlags::WRONLY,
        "both" => OpenFlags::empty(),
        _ => return Err(format!("{how}: neither rdonly nor wronly nor both")),
    };
    let id = world.kernel.map_info(fd).map_err(|e| e.to_string())?.id;
    Ok(match world.kernel.open_id(ObjectKind::Map, id, flags) {
        Ok(Some(fd)) => {
            world.maps.insert(new.to_owned(), fd);
            world.specs.insert(new.to_owned(), spec);
            Ok(ok(()))
        }
        Ok(None) => Ok("ENOENT".to_owned()),
        Err(failure) => Err(failure),
    })
}

fn is_percpu(spec: &MapSpec) -> bool {
    use MapType::{LruPercpuHash, PercpuArray, PercpuCgroupStorage, PercpuHash};
    matches!(
        spec.map_type,
        PercpuArray | PercpuHash | LruPercpuHash | PercpuCgroupStorage
    )
}

/// Bytes of a CPU's value with its padding.
fn stride(spec: &MapSpec) -> usize {
    (spec.value_size as usize).next_multiple_of(8)
}

/// A value as an element command takes it.
fn value(world: &World<'_>, word: &str) -> Result<Vec<u8>, String> {
    let Some(each) = word.strip_prefix("each:") else {
        return world.bytes(word);
    };
    let mut value = world.bytes(each)?;
    value.resize(value.len().next_multiple_of(8), 0);
    Ok(value.repeat(world.kernel.cpus() as usize))
}

fn update(
    world: &World<'_>,
    name: &str,
    key: &str,
    word: &str,
    flags: u64,
) -> Result<Answer, String> {
    let (key, value) = (world.bytes(key)?, value(world, word)?);
    let map = world.map(name)?.0;
    Ok(world.kernel.map_update(map, &key, &value, flags).map(ok))
}

fn lookup(world: &World<'_>, name: &str, key: &str, flags: u64) -> Result<Answer, String> {
    let (map, key) = (world.map(name)?.0, world.bytes(key)?);
    let value = world.kernel.map_lookup(map, &key, flags);
    Ok(value.map(|value| found(value.map(|value| shown(world, name, &value)))))
}

/// A value as answers spell it.
fn shown(world: &World<'_>, name: &str, value: &[u8]) -> String {
    let Some(spec) = world.specs.get(name) else {
        return show_bytes(value);
    };
    if is_percpu(spec) {
        return of_cpus(value, spec);
    }
    match (spec.map_type, <[u8; 4]>::try_from(value)) {
        (MapType::ArrayOfMaps | MapType::HashOfMaps | MapType::ProgArray, Ok(id)) => {
            object(world, spec.map_type, u32::from_le_bytes(id))
        }
        _ => show_bytes(value),
    }
}

fn of_cpus(value: &[u8], spec: &MapSpec) -> String {
    // Between the values of CPUs, kernels leave what they like.
    let cut = |part: &[u8]| part[..part.len().min(spec.value_size as usize)].to_vec();
    let mut parts: Vec<Vec<u8>> = value.chunks(stride(spec)).map(cut).collect();
    if parts.windows(2).all(|pair| pair[0] == pair[1]) {
        return format!("each:{}", show_bytes(parts.first().map_or(&[], |v| v)));
    }
    parts.retain(|part| part.iter().any(|byte| *byte != 0));
    parts.sort();
    let parts: Vec<String> = parts.iter().map(|part| show_bytes(part)).collect();
    format!("some:{}", parts.join("+"))
}

/// The name of the map or program that has this id: ids are each kernel's own.
fn object(world: &World<'_>, map_type: MapType, id: u32) -> String {
    let is_map = |fd: &Fd| world.kernel.map_info(fd).is_ok_and(|info| info.id == id);
    let is_program = |fd: &Fd| world.kernel.prog_info(fd).is_ok_and(|info| info.id == id);
    let found = match map_type {
        MapType::ProgArray => world.programs.iter().find(|(_, fd)| is_program(fd)),
        _ => world.maps.iter().find(|(_, fd)| is_map(fd)),
    };
    match found {
        Some((name, _)) => format!("@{name}"),
        None => format!("id {id}"),
    }
}

fn keys(world: &World<'_>, name: &str) -> Result<Result<Vec<Vec<u8>>, Failure>, String> {
    let map = world.map(name)?.0;
    let mut keys: Vec<Vec<u8>> = Vec::new();
    loop {
        match world
            .kernel
            .map_next_key(map, keys.last().map(Vec::as_slice))
        {
            Ok(Some(key)) => keys.push(key),
            Ok(None) => return Ok(Ok(keys)),
            Err(failure) => return Ok(Err(failure)),
        }
        if keys.len() > 10_000 {
            return Err("keys without end".to_owned());
        }
    }
}

fn dump(world: &World<'_>, name: &str) -> Result<Answer, String> {
    let map = world.map(name)?.0;
    let keys = match keys(world, name)? {
        Ok(keys) => keys,
        Err(failure) => return Ok(Err(failure)),
    };
    let mut pairs = BTreeMap::new();
    for key in keys {
        let value = match world.kernel.map_lookup(map, &key, 0) {
            Ok(value) => found(value.map(|value| shown(world, name, &value))),
            Err(failure) => super::world::errno(&failure),
        };
        pairs.insert(show_bytes(&key), value);
    }
    Ok(Ok(pairs_shown(pairs)))
}

fn pairs_shown(pairs: BTreeMap<String, String>) -> String {
    list(
        pairs
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect(),
    )
}

fn batch(world: &World<'_>, name: &str, count: u32, take: bool) -> Result<Answer, String> {
    let (map, spec) = world.map(name)?;
    let size = match spec.map_type {
        MapType::ArrayOfMaps | MapType::HashOfMaps => 4,
        _ if is_percpu(spec) => stride(spec) * world.kernel.cpus() as usize,
        _ => spec.value_size as usize,
    };
    let mut pairs = BTreeMap::new();
    let mut from: Option<Vec<u8>> = None;
    for _ in 0..1000 {
        let got = world
            .kernel
            .map_lookup_batch(map, from.as_deref(), count, take);
        let got = match got {
            Ok(got) => got,
            Err(failure) => return Ok(Err(failure)),
        };
        let keys = got.keys.chunks(spec.key_size.max(1) as usize);
        for (key, value) in keys.zip(got.values.chunks(size.max(1))) {
            let twice = pairs.insert(show_bytes(key), shown(world, name, value));
            if twice.is_some() {
                return Err(format!("{} comes twice", show_bytes(key)));
            }
        }
        match got.next {
            Some(next) => from = Some(next),
            None => return Ok(Ok(pairs_shown(pairs))),
        }
    }
    Err("batches without end".to_owned())
}

fn batch_update(world: &World<'_>, name: &str, words: &[&str]) -> Result<Answer, String> {
    let (mut keys, mut values, mut how) = (Vec::new(), Vec::new(), 0);
    for word in words {
        match word.split_once('=') {
            Some((key, of)) => {
                keys.extend(world.bytes(key)?);
                values.extend(value(world, of)?);
            }
            None => how = flags(word)?,
        }
    }
    let map = world.map(name)?.0;
    let written = world.kernel.map_update_batch(map, &keys, &values, how);
    Ok(written.map(|count| count.to_string()))
}

fn drain(world: &World<'_>, name: &str) -> Result<Answer, String> {
    let (map, spec) = world.map(name)?;
    let mut records = Vec::new();
    let done = match spec.map_type {
        MapType::PerfEventArray => world.kernel.perf_buffer_consume(
            map,
            &mut |_, record| records.push(show_bytes(record)),
            &mut |_, _| {},
        ),
        _ => world
            .kernel
            .ring_buffer_consume(map, &mut |record| records.push(show_bytes(record))),
    };
    Ok(done.map(|_| list(records)))
}
