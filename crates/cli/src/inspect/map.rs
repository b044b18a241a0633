//! `panal map`: maps, and their elements.

use panal_uapi::{
    Errno, MapType,
    inspect::{ObjectKind, OpenFlags},
    kernel::{Failure, MapInfo, update as flag},
};

use super::{
    Answer, Asking, Said,
    elements::{Elements, rows, spaced},
    json::{self, Json, Members},
    words::{Words, asked},
};
use crate::error::Problem;

const KIND: ObjectKind = ObjectKind::Map;

/// Elements that are read by one call.
const BATCH: u32 = 256;

pub fn show(asking: &Asking<'_>) -> Result<Answer, Problem> {
    super::show(asking, KIND, OpenFlags::RDONLY, |one| {
        let info = one.place.listed(one.place.kernel.map_info(&one.fd))?;
        Ok(info.map(|info| {
            let said = match asking.json {
                true => Said::Json(members(&info)),
                false => lines(&info),
            };
            (info.id, said)
        }))
    })
}

/// What every answer about a map begins with.
fn heading(info: &MapInfo) -> Members {
    let mut json = Members::default();
    json.put("id", info.id);
    json.put("type", info.map_type.short_name());
    if !info.name.is_empty() {
        json.put("name", info.name.as_str());
    }
    json.put("flags", info.flags.bits());
    json
}

/// The same for people.
fn heading_line(info: &MapInfo) -> String {
    let mut text = format!("{}: {}", info.id, info.map_type.short_name());
    if !info.name.is_empty() {
        text.push_str(&format!("  name {}", info.name));
    }
    text.push_str(&format!("  flags {:#x}", info.flags.bits()));
    text
}

fn members(info: &MapInfo) -> Members {
    let mut json = heading(info);
    json.put("bytes_key", info.key_size);
    json.put("bytes_value", info.value_size);
    json.put("max_entries", info.max_entries);
    json.put("bytes_memlock", info.memlock);
    if let Some((owner, jited)) = info.owner {
        json.put("owner_prog_type", super::prog::type_name(owner));
        json.put("owner_jited", jited);
    }
    json.put("frozen", u32::from(info.frozen));
    if info.btf_id > 0 {
        json.put("btf_id", info.btf_id);
    }
    json
}

/// The lines before pins and processes, and the one after them.
fn lines(info: &MapInfo) -> Said {
    let mut text = heading_line(info);
    let MapInfo {
        key_size,
        value_size,
        max_entries,
        memlock,
        ..
    } = info;
    text.push_str(&format!(
        "\n\tkey {key_size}B  value {value_size}B  max_entries {max_entries}  memlock {memlock}B"
    ));
    if let Some((owner, jited)) = info.owner {
        let how = if jited { "jited" } else { "not jited" };
        let owner = super::prog::type_name(owner);
        text.push_str(&format!("\n\towner_prog_type {owner}  owner {how}"));
    }
    let mut last = Vec::new();
    if info.btf_id > 0 {
        last.push(format!("btf_id {}", info.btf_id));
    }
    if info.frozen {
        last.push("frozen".to_owned());
    }
    let last = match last.is_empty() {
        true => String::new(),
        false => format!("\n\t{}", last.join("  ")),
    };
    Said::Text(text, last)
}

/// The map that the first words choose.
fn chosen<'a>(
    asking: &'a Asking<'_>,
    words: &mut Words<'_>,
    access: OpenFlags,
) -> Result<Elements<'a>, Problem> {
    let selector = words.selector(KIND)?;
    Elements::new(asking.places.one(KIND, &selector, access)?)
}

impl Elements<'_> {
    fn failed(&self, failure: Failure) -> Problem {
        let hint = match (failure.command, failure.errno) {
            ("BPF_MAP_UPDATE_ELEM", Errno::E2BIG) if is_array(self.info.map_type) => {
                "the key is no index of the map"
            }
            (_, Errno::E2BIG) => "the map is full: delete elements, or make it larger",
            (_, Errno::EPERM) if self.info.frozen => "the map is frozen",
            (_, Errno::EPERM) => "the map is not to be written, or you have no right to it",
            (_, Errno::EEXIST) => "the key is there already: leave `noexist` off to replace",
            (_, Errno::ENOENT) => "the key is not there: leave `exist` off to create it",
            _ => return self.found.place.failed(failure),
        };
        let problem = self.found.place.failed(failure);
        asked(format!("{problem}; {hint}"))
    }
}

fn is_array(map_type: MapType) -> bool {
    use MapType::{Array, ArrayOfMaps, PercpuArray, ProgArray};
    matches!(map_type, Array | PercpuArray | ProgArray | ArrayOfMaps)
}

/// An element, or why it cannot be looked up although its key is there.
type Element = (Vec<u8>, Result<Vec<u8>, Errno>);

/// Every element: by batches where the map has them, else one after another.
fn all(elements: &Elements<'_>) -> Result<Vec<Element>, Problem> {
    let kernel = &elements.found.place.kernel;
    let key_size = elements.info.key_size as usize;
    let mut all = Vec::new();
    let mut from: Option<Vec<u8>> = None;
    let mut count = BATCH.min(elements.info.max_entries.max(1));
    if key_size == 0 {
        return one_by_one(elements);
    }
    loop {
        match kernel.map_lookup_batch(elements.fd(), from.as_deref(), count, false) {
            Ok(batch) if batch.count == 0 => return Ok(all),
            Ok(batch) => {
                let value_size = batch.values.len() / batch.count as usize;
                let keys = batch.keys.chunks_exact(key_size);
                let values = batch.values.chunks_exact(value_size.max(1));
                all.extend(keys.zip(values).map(|(k, v)| (k.to_vec(), Ok(v.to_vec()))));
                match batch.next {
                    Some(next) => from = Some(next),
                    None => return Ok(all),
                }
            }
            // A bucket of the hash table has more elements than there was room for.
            Err(failure) if failure.errno == Errno::ENOSPC && count < 1 << 20 => count *= 4,
            // No batches: older kernels, other types.
            Err(_) if all.is_empty() => break,
            Err(failure) => return Err(elements.failed(failure)),
        }
    }
    one_by_one(elements)
}

fn one_by_one(elements: &Elements<'_>) -> Result<Vec<Element>, Problem> {
    let kernel = &elements.found.place.kernel;
    let mut all: Vec<Element> = Vec::new();
    let next_key = |key: Option<&[u8]>| kernel.map_next_key(elements.fd(), key);
    let mut key = match next_key(None) {
        // Queues and the like have no keys to walk.
        Err(failure) if failure.errno == Errno::EINVAL && elements.info.key_size == 0 => None,
        other => other.map_err(|failure| elements.failed(failure))?,
    };
    // A table that others change while it is walked could go on for ever.
    let most = (elements.info.max_entries as usize)
        .saturating_mul(2)
        .max(1 << 16);
    while let Some(own) = key.take() {
        match kernel.map_lookup(elements.fd(), &own, 0) {
            Ok(Some(value)) => all.push((own.clone(), Ok(value))),
            Ok(None) if is_array(elements.info.map_type) => {
                all.push((own.clone(), Err(Errno::ENOENT)));
            }
            Ok(None) => {}
            Err(failure) => all.push((own.clone(), Err(failure.errno))),
        }
        if all.len() > most {
            break;
        }
        key = next_key(Some(&own)).map_err(|failure| elements.failed(failure))?;
    }
    Ok(all)
}

/// Of one map its elements; of several, each with a heading, as bpftool has it.
pub fn dump(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let selector = words.selector(KIND)?;
    words.end()?;
    let mut found = asking.places.find(KIND, &selector, OpenFlags::RDONLY)?;
    if found.len() == 1 {
        return dump_one(asking, &Elements::new(found.remove(0))?);
    }
    let mut list = Vec::new();
    let mut texts = Vec::new();
    for one in found {
        let elements = Elements::new(one)?;
        match dump_one(asking, &elements)? {
            Answer::Json(json) => {
                let mut one = heading(&elements.info);
                one.put_some("instance", elements.found.place.instance);
                one.put("elements", json);
                list.push(one.done());
            }
            Answer::Text(text) => {
                let heading = heading_line(&elements.info);
                let place = elements.found.place.instance;
                let place = place.map_or_else(String::new, |pid| format!("  instance {pid}"));
                texts.push(format!("{heading}{place}\n{}\n", text.trim_end()));
            }
        }
    }
    Ok(match asking.json {
        true => Answer::Json(Json::List(list)),
        false => Answer::Text(texts.join("\n")),
    })
}

fn dump_one(asking: &Asking<'_>, elements: &Elements<'_>) -> Result<Answer, Problem> {
    let all = all(elements)?;
    if asking.json {
        let list = all.iter().map(|(key, value)| match value {
            Ok(value) => elements.json(key, value),
            Err(errno) => {
                let mut fault = Members::default();
                fault.put("error", errno.description());
                let mut one = Members::default();
                one.put("key", json::bytes(key)).put("value", fault.done());
                one.done()
            }
        });
        return Ok(Answer::Json(list.collect()));
    }
    let found = |value: &Element| value.1.is_ok();
    let count = all.iter().filter(|e| found(e)).count();
    let formatted = all
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_ref().ok()?)))
        .map(|(key, value)| elements.formatted(key, value))
        .collect::<Option<Vec<_>>>()
        .filter(|list| !list.is_empty());
    if let Some(list) = formatted {
        let text = serde_json::to_string_pretty(&Json::List(list));
        let text = text.map_err(|e| Problem::Output(e.to_string()))?;
        return Ok(Answer::Text(text));
    }
    let mut text = String::new();
    for (key, value) in &all {
        // Of arrays of objects, the slots that hold none are left out.
        if let Ok(value) = value {
            text.push_str(&elements.text(key, value));
        }
    }
    let plural = if count == 1 { "" } else { "s" };
    text.push_str(&format!("Found {count} element{plural}\n"));
    Ok(Answer::Text(text))
}

/// One element as the answer of `lookup`, `peek` and `pop`.
fn element(
    asking: &Asking<'_>,
    elements: &Elements<'_>,
    key: &[u8],
    value: &[u8],
) -> Result<Answer, Problem> {
    if asking.json {
        return Ok(Answer::Json(elements.json(key, value)));
    }
    match elements.formatted(key, value) {
        Some(json) => {
            let text = serde_json::to_string_pretty(&json);
            Ok(Answer::Text(
                text.map_err(|e| Problem::Output(e.to_string()))?,
            ))
        }
        None => Ok(Answer::Text(elements.text(key, value))),
    }
}

/// Nothing has this key: `null`, or `Not found`; the command did not do what it was asked.
fn not_found(asking: &Asking<'_>, key: &[u8]) -> Result<Answer, Problem> {
    let answer = match asking.json {
        true => Answer::Json(Json::Null),
        false => Answer::Text(format!("key:\n{}\n\nNot found\n", rows(key))),
    };
    super::print(asking.objects, &answer)?;
    Err(Problem::Reported(crate::COULD_NOT_TRY))
}

pub fn lookup(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let elements = chosen(asking, &mut words, OpenFlags::RDONLY)?;
    if !words.take("key") {
        return Err(asked("expected `key BYTES`"));
    }
    let key = elements.key(&mut words)?;
    words.end()?;
    let kernel = &elements.found.place.kernel;
    let found = kernel.map_lookup(elements.fd(), &key, 0);
    match found.map_err(|failure| elements.failed(failure))? {
        Some(value) => element(asking, &elements, &key, &value),
        None => not_found(asking, &key),
    }
}

pub fn update(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let elements = chosen(asking, &mut words, OpenFlags::empty())?;
    let mut key = (elements.info.key_size == 0).then(Vec::new);
    let mut value = None;
    let mut flags = flag::BPF_ANY;
    while let Some(word) = words.peek() {
        if words.take("key") {
            key = Some(elements.key(&mut words)?);
        } else if words.take("value") {
            value = Some(elements.value(asking, &mut words)?);
        } else if words.take("any") {
            flags = flag::BPF_ANY;
        } else if words.take("exist") {
            flags = flag::BPF_EXIST;
        } else if words.take("noexist") {
            flags = flag::BPF_NOEXIST;
        } else {
            return Err(asked(format!(
                "expected key, value, any, exist or noexist, got `{word}`"
            )));
        }
    }
    let key = key.ok_or_else(|| asked("expected `key BYTES`"))?;
    let (value, _held) = value.ok_or_else(|| asked("expected `value BYTES`"))?;
    let kernel = &elements.found.place.kernel;
    kernel
        .map_update(elements.fd(), &key, &value, flags)
        .map_err(|failure| elements.failed(failure))?;
    Ok(asking.nothing())
}

pub fn delete(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let elements = chosen(asking, &mut words, OpenFlags::empty())?;
    if !words.take("key") {
        return Err(asked("expected `key BYTES`"));
    }
    let key = elements.key(&mut words)?;
    words.end()?;
    let kernel = &elements.found.place.kernel;
    let deleted = kernel.map_delete(elements.fd(), &key);
    match deleted.map_err(|failure| elements.failed(failure))? {
        true => Ok(asking.nothing()),
        false => Err(asked(format!(
            "BPF_MAP_DELETE_ELEM: {}: the map has no key {}",
            Errno::ENOENT,
            spaced(&key)
        ))),
    }
}

pub fn getnext(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let elements = chosen(asking, &mut words, OpenFlags::RDONLY)?;
    let key = match words.take("key") {
        true => Some(elements.key(&mut words)?),
        false => None,
    };
    words.end()?;
    let kernel = &elements.found.place.kernel;
    let next = kernel.map_next_key(elements.fd(), key.as_deref());
    let Some(next) = next.map_err(|failure| elements.failed(failure))? else {
        let why = match key {
            Some(_) => "this is the last key",
            None => "the map is empty",
        };
        return Err(asked(format!(
            "BPF_MAP_GET_NEXT_KEY: {}: {why}",
            Errno::ENOENT
        )));
    };
    if asking.json {
        let mut json = Members::default();
        json.put("key", key.as_deref().map_or(Json::Null, json::bytes));
        json.put("next_key", json::bytes(&next));
        return Ok(Answer::Json(json.done()));
    }
    let own = match &key {
        Some(key) => format!("key:\n{}", rows(key)),
        None => "key: None".to_owned(),
    };
    Ok(Answer::Text(format!("{own}\nnext key:\n{}\n", rows(&next))))
}

pub fn peek(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let elements = chosen(asking, &mut words, OpenFlags::RDONLY)?;
    words.end()?;
    let kernel = &elements.found.place.kernel;
    let found = kernel.map_lookup(elements.fd(), &[], 0);
    match found.map_err(|failure| elements.failed(failure))? {
        Some(value) => element(asking, &elements, &[], &value),
        None => is_empty(asking),
    }
}

pub fn pop(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let elements = chosen(asking, &mut words, OpenFlags::empty())?;
    words.end()?;
    let kernel = &elements.found.place.kernel;
    let found = kernel.map_lookup_and_delete(elements.fd(), &[], 0);
    match found.map_err(|failure| elements.failed(failure))? {
        Some(value) => element(asking, &elements, &[], &value),
        None => is_empty(asking),
    }
}

/// A queue or stack with nothing in it.
fn is_empty(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let answer = match asking.json {
        true => Answer::Json(Json::Null),
        false => Answer::Text("Error: empty map\n".to_owned()),
    };
    super::print(asking.objects, &answer)?;
    Err(Problem::Reported(crate::COULD_NOT_TRY))
}

pub fn push(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let elements = chosen(asking, &mut words, OpenFlags::empty())?;
    if !words.take("value") {
        return Err(asked("expected `value BYTES`"));
    }
    let (value, _held) = elements.value(asking, &mut words)?;
    words.end()?;
    let kernel = &elements.found.place.kernel;
    kernel
        .map_update(elements.fd(), &[], &value, flag::BPF_ANY)
        .map_err(|failure| elements.failed(failure))?;
    Ok(asking.nothing())
}

pub fn freeze(asking: &Asking<'_>) -> Result<Answer, Problem> {
    let mut words = asking.words();
    let elements = chosen(asking, &mut words, OpenFlags::empty())?;
    words.end()?;
    let kernel = &elements.found.place.kernel;
    let frozen = kernel.map_freeze(elements.fd());
    frozen.map_err(|failure| elements.found.place.failed(failure))?;
    Ok(asking.nothing())
}
