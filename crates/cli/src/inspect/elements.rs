//! Keys and values as arguments: bytes as bpftool takes them, or one text that is read by its type.

use panal_btf::Btf;
use panal_uapi::{
    MapType,
    inspect::{ObjectKind, OpenFlags},
    kernel::{Fd, MapInfo},
};

use super::{
    Asking,
    json::{self, Json, Members},
    places::Found,
    value,
    words::{Words, asked, parse_number},
};
use crate::{
    error::Problem,
    map_args::{self, Side},
};

/// A map with what is needed to read and show its elements.
pub struct Elements<'p> {
    pub found: Found<'p>,
    pub info: MapInfo,
    pub cpus: usize,
    types: Option<Btf>,
}

/// Where arguments for a key or value end.
const ENDS: [&str; 5] = ["key", "value", "any", "exist", "noexist"];

impl<'p> Elements<'p> {
    pub fn new(found: Found<'p>) -> Result<Self, Problem> {
        let kernel = &found.place.kernel;
        let info = kernel
            .map_info(&found.fd)
            .map_err(|f| found.place.failed(f))?;
        let types = match info.btf_id {
            0 => None,
            id => kernel
                .open_id(ObjectKind::Btf, id, OpenFlags::empty())
                .ok()
                .flatten()
                .and_then(|fd| kernel.btf_bytes(&fd).ok())
                .and_then(|bytes| Btf::parse(&bytes).ok()),
        };
        let cpus = kernel.cpus() as usize;
        Ok(Elements {
            found,
            info,
            cpus,
            types,
        })
    }

    pub fn fd(&self) -> &Fd {
        &self.found.fd
    }

    pub fn is_percpu(&self) -> bool {
        use MapType::{LruPercpuHash, PercpuArray, PercpuCgroupStorage, PercpuHash};
        matches!(
            self.info.map_type,
            PercpuHash | PercpuArray | LruPercpuHash | PercpuCgroupStorage
        )
    }

    fn key_side(&self) -> Side<'_> {
        Side {
            size: self.info.key_size as usize,
            ty: self.types.as_ref().zip(Some(self.info.btf_key_type_id)),
            prefix: self.info.map_type == MapType::LpmTrie,
        }
    }

    fn value_side(&self) -> Side<'_> {
        Side {
            size: self.info.value_size as usize,
            ty: self.types.as_ref().zip(Some(self.info.btf_value_type_id)),
            prefix: false,
        }
    }

    /// Reads a key up to the next keyword.
    pub fn key(&self, words: &mut Words<'_>) -> Result<Vec<u8>, Problem> {
        read(words, self.key_side()).map_err(|fault| asked(format!("key: {fault}")))
    }

    /// Reads a value; of maps of objects, what chooses the object. The descriptor is to be kept
    /// until the value was used.
    pub fn value(
        &self,
        asking: &Asking<'_>,
        words: &mut Words<'_>,
    ) -> Result<(Vec<u8>, Option<Fd>), Problem> {
        let object = match self.info.map_type {
            MapType::ProgArray => Some(ObjectKind::Program),
            MapType::ArrayOfMaps | MapType::HashOfMaps => Some(ObjectKind::Map),
            _ => None,
        };
        if let Some(kind) = object {
            let selector = words.selector(kind)?;
            let all = asking.places.find(kind, &selector, OpenFlags::empty())?;
            let mut own: Vec<Found<'_>> = all
                .into_iter()
                .filter(|other| other.place.instance == self.found.place.instance)
                .collect();
            return match (own.len(), own.pop()) {
                (1, Some(one)) => Ok((one.fd.number().to_ne_bytes().to_vec(), Some(one.fd))),
                (count, _) => Err(asked(format!(
                    "value: {count} {}s with {selector}",
                    kind.name()
                ))),
            };
        }
        let side = self.value_side();
        let one = read(words, side).map_err(|fault| asked(format!("value: {fault}")))?;
        if !self.is_percpu() {
            return Ok((one, None));
        }
        let mut rounded = one;
        rounded.resize(rounded.len().next_multiple_of(8), 0);
        Ok((rounded.repeat(self.cpus), None))
    }

    /// The values that a value is made of, by CPU; the value itself for other maps.
    fn parts<'v>(&self, value: &'v [u8]) -> Vec<&'v [u8]> {
        let size = self.info.value_size as usize;
        let stride = size.next_multiple_of(8).max(1);
        let part = |chunk: &'v [u8]| &chunk[..size.min(chunk.len())];
        value.chunks(stride).map(part).collect()
    }

    fn format_key(&self, key: &[u8]) -> Option<Json> {
        value::format(self.types.as_ref()?, self.info.btf_key_type_id, key)
    }

    fn format_value(&self, one: &[u8]) -> Option<Json> {
        value::format(self.types.as_ref()?, self.info.btf_value_type_id, one)
    }

    /// An element by its types, as bpftool's `formatted`; `None` where the map has none.
    pub fn formatted(&self, key: &[u8], value: &[u8]) -> Option<Json> {
        let mut out = Members::default();
        // The map of a global section has no key type.
        if self.info.btf_key_type_id.0 != 0 {
            out.put("key", self.format_key(key)?);
        } else if self.info.btf_value_type_id.0 == 0 {
            return None;
        }
        if self.is_percpu() {
            let parts = self.parts(value);
            let values = parts.iter().enumerate().map(|(cpu, part)| {
                let mut one = Members::default();
                one.put("cpu", cpu).put("value", self.format_value(part)?);
                Some(one.done())
            });
            out.put("values", Json::List(values.collect::<Option<_>>()?));
        } else {
            out.put("value", self.format_value(value)?);
        }
        Some(out.done())
    }

    /// An element as bpftool's JSON has it: bytes, and `formatted` where there are types.
    pub fn json(&self, key: &[u8], value: &[u8]) -> Json {
        let mut out = Members::default();
        out.put("key", json::bytes(key));
        if self.is_percpu() {
            let parts = self.parts(value);
            let values = parts.iter().enumerate().map(|(cpu, part)| {
                let mut one = Members::default();
                one.put("cpu", cpu).put("value", json::bytes(part));
                one.done()
            });
            out.put("values", values.collect::<Json>());
        } else {
            out.put("value", json::bytes(value));
        }
        out.put_some("formatted", self.formatted(key, value));
        out.done()
    }

    /// An element without types, as lines.
    pub fn text(&self, key: &[u8], value: &[u8]) -> String {
        if self.is_percpu() {
            let mut out = format!("key:\n{}\n", spaced(key));
            for (cpu, part) in self.parts(value).iter().enumerate() {
                out.push_str(&format!("value (CPU {cpu:02}): {}\n", spaced(part)));
            }
            out
        } else if key.is_empty() {
            format!("value: {}\n", spaced(value))
        } else if key.len() + value.len() > 24 {
            format!("key:\n{}\nvalue:\n{}\n", rows(key), rows(value))
        } else {
            format!("key: {}  value: {}\n", spaced(key), spaced(value))
        }
    }
}

/// `01 00 ff`
pub fn spaced(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

/// Sixteen bytes a line, with a gap after eight.
pub fn rows(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).map(|line| {
        let halves: Vec<String> = line.chunks(8).map(spaced).collect();
        halves.join("  ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Reads bytes (`10 0 0 1`, `0x0a 0 0 1`, `hex 0a 00 00 01`), or one text by the side's type
/// (`10.0.0.0/8`, `{port: 80}`).
fn read(words: &mut Words<'_>, side: Side<'_>) -> Result<Vec<u8>, String> {
    let hex = words.peek() == Some("hex");
    if hex {
        words.next();
    }
    let mut given = Vec::new();
    while let Some(word) = words.peek().filter(|word| !ENDS.contains(word)) {
        given.push(word);
        words.next();
    }
    let byte = |word: &&str| match hex {
        true => u8::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok(),
        false => parse_number(word).and_then(|n| u8::try_from(n).ok()),
    };
    // One byte after another, unless it is one text for more than one byte.
    let bytes: Option<Vec<u8>> = given.iter().map(byte).collect();
    match (bytes, &given[..]) {
        (_, []) if side.size == 0 => Ok(Vec::new()),
        (_, []) => Err("no bytes given".to_owned()),
        (Some(bytes), _) if bytes.len() == side.size => Ok(bytes),
        (_, [text]) if !hex => map_args::read_side(side, text),
        (Some(bytes), _) => Err(format!(
            "{} bytes given, the map has {}",
            bytes.len(),
            side.size
        )),
        (None, _) => {
            let wrong = given.iter().find(|word| byte(word).is_none());
            Err(format!("`{}` is no byte", wrong.unwrap_or(&"")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(size: usize) -> Side<'static> {
        Side {
            size,
            ty: None,
            prefix: false,
        }
    }

    fn reads(text: &str, size: usize) -> Result<Vec<u8>, String> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        read(&mut Words::new(&words), side(size))
    }

    #[test]
    fn bytes_and_texts_are_told_apart() {
        assert_eq!(reads("1 0x2 03 255 value", 4), Ok(vec![1, 2, 3, 255]));
        assert_eq!(reads("hex 0a ff 0x1 10", 4), Ok(vec![10, 255, 1, 16]));
        assert_eq!(reads("258", 4), Ok(258u32.to_ne_bytes().to_vec()));
        assert_eq!(reads("7", 1), Ok(vec![7]));
        assert!(reads("1 2 3", 4).is_err());
        assert!(reads("1 2 3 256", 4).is_err());
        assert!(reads("value 1", 4).is_err());
        assert!(reads("hex fff 0 0 0", 4).is_err());
    }
}
