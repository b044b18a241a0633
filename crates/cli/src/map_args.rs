//! `--map NAME=KEY:VALUE`: elements that are set before programs run.

use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use panal_btf::{
    Btf, TypeId,
    value::{Literal, encode_untyped},
};
use panal_loader::{Loaded, LoadedMap, Open};
use panal_uapi::{Errno, MapType, kernel::update};

use crate::{error::Problem, object::choices};

/// One `NAME=KEY:VALUE`, not yet read by the map's types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapArg {
    name: String,
    entry: String,
}

impl FromStr for MapArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, entry)) if !name.is_empty() && entry.contains(':') => Ok(MapArg {
                name: name.to_owned(),
                entry: entry.to_owned(),
            }),
            Some((name, _)) if !name.is_empty() => {
                Err("there is no `:` between key and value: expected NAME=KEY:VALUE".to_owned())
            }
            Some(_) => Err("the map's name is missing: expected NAME=KEY:VALUE".to_owned()),
            None => Err("there is no `=` after the map's name: expected NAME=KEY:VALUE".to_owned()),
        }
    }
}

/// One `NAME=VALUE` for a global variable, not yet read by its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VarArg {
    name: String,
    value: String,
}

impl FromStr for VarArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(VarArg {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("expected NAME=VALUE".to_owned()),
        }
    }
}

/// Sets global variables, before programs are verified.
pub fn set_variables(open: &mut Open, arguments: &[VarArg]) -> Result<(), Problem> {
    for VarArg { name, value } in arguments {
        let fault = |fault: String| Problem::Asked(format!("--var {name}={value}: {fault}"));
        let object = open.object().clone();
        let variables = || {
            object
                .maps()
                .iter()
                .filter_map(|map| map.data())
                .flat_map(|d| &d.variables)
        };
        let Some(variable) = variables().find(|variable| *variable.name == **name) else {
            let names = variables().map(|variable| &*variable.name);
            return Err(fault(format!(
                "the object has no such global variable{}",
                choices(names)
            )));
        };
        let ty = object.btf().map(|btf| (&**btf, variable.ty));
        let side = Side {
            size: variable.size as usize,
            ty,
            prefix: false,
        };
        let bytes = read_side(side, value).map_err(fault)?;
        open.set_variable(name, &bytes)
            .map_err(|error| fault(error.to_string()))?;
    }
    Ok(())
}

/// How the bytes of a key or value are known.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub size: usize,
    pub ty: Option<(&'a Btf, TypeId)>,
    /// Whether it is the key of an LPM trie: a length in bits, then what it is the length of.
    pub prefix: bool,
}

/// Sets the elements.
pub fn apply(loaded: &Loaded<'_>, arguments: &[MapArg]) -> Result<(), Problem> {
    for argument in arguments {
        set(loaded, argument).map_err(|fault| {
            Problem::Asked(format!(
                "--map {}={}: {fault}",
                argument.name, argument.entry
            ))
        })?;
    }
    Ok(())
}

fn set(loaded: &Loaded<'_>, argument: &MapArg) -> Result<(), String> {
    let Some(map) = loaded
        .maps()
        .iter()
        .find(|map| map.plan.name == argument.name)
    else {
        let names = loaded.maps().iter().map(|map| map.plan.name.as_str());
        return Err(format!(
            "the object has no map `{}`{}",
            argument.name,
            choices(names)
        ));
    };
    let (key, value) = read_entry(loaded, map, &argument.entry)?;
    loaded
        .kernel()
        .map_update(&map.fd, &key, &value, update::BPF_ANY)
        .map_err(|failure| match failure.errno {
            Errno::E2BIG if map.plan.key_size > 0 => format!(
                "{failure}: the map is full ({} elements), or the key is beyond its end",
                map.plan.max_entries
            ),
            _ => failure.to_string(),
        })
}

/// Finds the `:` between key and value: addresses and quoted text have some of their own.
fn read_entry(
    loaded: &Loaded<'_>,
    map: &LoadedMap,
    entry: &str,
) -> Result<(Vec<u8>, Vec<u8>), String> {
    let btf = loaded.object().btf().map(|btf| &**btf);
    let definition = &loaded.object().map(map.plan.id).definition;
    let side = |size: u32, ty: Option<TypeId>| Side {
        size: size as usize,
        ty: btf.zip(ty),
        prefix: false,
    };
    let key_side = Side {
        prefix: map.plan.map_type == MapType::LpmTrie,
        ..side(map.plan.key_size, definition.key_type)
    };
    let value_side = side(map.plan.value_size, definition.value_type);
    if map.plan.key_size == 0 && map.plan.value_size == 0 {
        return Err(format!(
            "a map of type {} has no elements to set",
            map.plan.map_type.short_name()
        ));
    }
    let mut found = Vec::new();
    let mut fault = None;
    for (at, _) in entry.match_indices(':') {
        let (key, value) = (entry[..at].trim(), entry[at + 1..].trim());
        // That colon belongs to the raw bytes.
        if key == "hex" {
            continue;
        }
        let read = read_side(key_side, key)
            .map_err(|fault| format!("key `{key}`: {fault}"))
            .and_then(|bytes| {
                let value = read_value(loaded, map, value_side, value)
                    .map_err(|fault| format!("value `{value}`: {fault}"))?;
                Ok((bytes, value))
            });
        match read {
            Ok(pair) => found.push(pair),
            Err(new) => {
                // A fault of the value means that the key was right; a prefix of IPv6 has colons.
                let prefix = key_side.prefix && key.contains('/');
                if fault.is_none() || new.starts_with("value") || prefix {
                    fault = Some(new);
                }
            }
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(pair), true) => Ok(pair),
        (Some(_), false) => {
            Err("can be read in several ways: put the key in double quotes".to_owned())
        }
        (None, _) => Err(fault.unwrap_or_else(|| "expected KEY:VALUE".to_owned())),
    }
}

fn read_value(
    loaded: &Loaded<'_>,
    map: &LoadedMap,
    side: Side<'_>,
    text: &str,
) -> Result<Vec<u8>, String> {
    match map.plan.map_type {
        MapType::ProgArray => match loaded.programs().iter().find(|p| p.plan.name == text) {
            Some(program) => Ok(program.fd.number().to_ne_bytes().to_vec()),
            None => {
                let names = loaded.programs().iter().map(|p| p.plan.name.as_str());
                Err(format!(
                    "no program of this name is loaded{}",
                    choices(names)
                ))
            }
        },
        MapType::ArrayOfMaps | MapType::HashOfMaps => {
            match loaded.maps().iter().find(|m| m.plan.name == text) {
                Some(inner) => Ok(inner.fd.number().to_ne_bytes().to_vec()),
                None => Err("no map of this name".to_owned()),
            }
        }
        MapType::PercpuArray
        | MapType::PercpuHash
        | MapType::LruPercpuHash
        | MapType::PercpuCgroupStorage => {
            let mut one = read_side(side, text)?;
            // In user space's view every CPU's value is rounded up to 8 bytes.
            one.resize(one.len().next_multiple_of(8), 0);
            Ok(one.repeat(loaded.kernel().cpus() as usize))
        }
        _ => read_side(side, text),
    }
}

/// The bytes that a text means for a key or value.
pub fn read_side(side: Side<'_>, text: &str) -> Result<Vec<u8>, String> {
    if let Some(digits) = text.strip_prefix("hex:") {
        return raw(digits, side.size);
    }
    if side.prefix
        && let Some(read) = prefix_key(side, text)
    {
        return read;
    }
    let literal = if looks_like_address(text) {
        let bracketed = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        Literal::Word(bracketed.unwrap_or(text).to_owned())
    } else {
        Literal::parse(text).map_err(|error| error.to_string())?
    };
    let bytes = match side
        .ty
        .filter(|(btf, ty)| btf.size_of(*ty) == Some(side.size as u32))
    {
        Some((btf, ty)) => btf
            .encode(ty, &literal)
            .map_err(|error| format!("{error} (its type is {})", crate::types::name(btf, ty)))?,
        None => encode_untyped(side.size, &literal)
            .map_err(|error| format!("{error} (it has {} bytes and no type)", side.size))?,
    };
    Ok(bytes)
}

/// The key of an LPM trie: an address with or without a length. IPv4 addresses in a trie of 16
/// bytes stand behind `::ffff:0:0` (RFC 4291), as sockets have them. `None` for what is written in
/// another way.
fn prefix_key(side: Side<'_>, text: &str) -> Option<Result<Vec<u8>, String>> {
    let most = match side.size.checked_sub(4)? {
        4 => 32,
        16 => 128,
        _ => return None,
    };
    let plain = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    let (address, length) = match plain.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (plain, None),
    };
    let (bytes, own, before) = match (address.parse::<IpAddr>(), most) {
        (Ok(IpAddr::V4(v4)), 32) => (v4.octets().to_vec(), 32, 0),
        (Ok(IpAddr::V4(v4)), _) => (v4.to_ipv6_mapped().octets().to_vec(), 32, 96),
        (Ok(IpAddr::V6(v6)), 128) => (v6.octets().to_vec(), 128, 0),
        (Ok(IpAddr::V6(_)), _) => return Some(Err("the map has IPv4 addresses only".to_owned())),
        (Err(_), _) if length.is_some() => {
            let expected = "expected an address and its bits, as 10.0.0.0/8";
            return Some(Err(format!("`{address}` is no address: {expected}")));
        }
        (Err(_), _) => return None,
    };
    let length = match length.map(str::parse::<u32>) {
        None => own,
        Some(Ok(length)) if length <= own => length,
        Some(_) => {
            let length = length.unwrap_or_default();
            return Some(Err(format!("`/{length}`: {address} has 0 to {own} bits")));
        }
    };
    Some(Ok([&(length + before).to_ne_bytes()[..], &bytes].concat()))
}

/// Addresses have `:` in them, which separates elsewhere: IPv6, with a prefix length or in brackets,
/// and Ethernet.
fn looks_like_address(text: &str) -> bool {
    let text = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    let address = text.split_once('/').map_or(text, |(address, _)| address);
    let parts = || text.split(':');
    let ethernet = parts().count() == 6
        && parts().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
    ethernet || address.parse::<Ipv6Addr>().is_ok()
}

fn raw(digits: &str, size: usize) -> Result<Vec<u8>, String> {
    let bytes = hexadecimal(digits)?;
    match bytes.len() == size {
        true => Ok(bytes),
        false => Err(format!("{} bytes given, {size} needed", bytes.len())),
    }
}

/// The bytes of `0a0b0c`.
pub fn hexadecimal(digits: &str) -> Result<Vec<u8>, String> {
    let wrong = || "hex: takes pairs of hexadecimal digits".to_owned();
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let pairs = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
    pairs.collect::<Result<_, _>>().map_err(|_| wrong())
}
