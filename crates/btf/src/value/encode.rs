//! A [`Literal`] to the bytes of a type.

use alloc::{boxed::Box, format, string::String, vec, vec::Vec};
use core::net::{IpAddr, Ipv4Addr};

use super::{Literal, Path, decode::is_char};
use crate::{
    table::Btf,
    types::{Kind, Member, Type, TypeId},
};

/// Why a literal is no value of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("value{path}: {fault}")]
pub struct EncodeError {
    /// Where: `.member[3]`; empty for the whole.
    pub path: Path,
    /// What is wrong.
    pub fault: String,
}

/// The most bytes that are made of a literal.
const MAX_SIZE: u32 = 1 << 26;

impl Btf {
    /// The bytes of a value of a type. Members and elements not given are zero.
    ///
    /// Beside what the type suggests: IPv4 addresses for 4-byte integers and arrays and IPv6
    /// addresses (or IPv4 ones behind `::ffff:0:0`) for 16 bytes, in network order, as are numbers of
    /// types called `__be16` and the like; MAC addresses for 6-byte arrays; any of them for a
    /// struct of that size; `ADDRESS/LENGTH` for a struct that begins with the 32-bit prefix length
    /// of an LPM trie.
    pub fn encode(&self, id: TypeId, literal: &Literal) -> Result<Vec<u8>, EncodeError> {
        let size = self.size_of(id).filter(|&size| size <= MAX_SIZE);
        let size = size.ok_or(at_top(format!(
            "type {id} has no size, or more than 64 MiB"
        )))?;
        let mut bytes = vec![0; size as usize];
        self.put(id, literal, &mut bytes)?;
        Ok(bytes)
    }

    fn put(&self, id: TypeId, literal: &Literal, out: &mut [u8]) -> Result<(), EncodeError> {
        let (_, ty) = self.resolve(id);
        match &ty.kind {
            Kind::Array { element, .. } => self.put_array(*element, literal, out),
            Kind::Struct { members, .. } | Kind::Union { members, .. } => {
                self.put_members(members, literal, out)
            }
            Kind::Var { ty, .. } => self.put(*ty, literal, out),
            Kind::DataSec { .. } => Err(at_top("a section cannot be written as a whole".into())),
            _ => {
                put_scalar(ty, literal, out)?;
                // Addresses are in that order already.
                if matches!(literal, Literal::Number(_)) && self.is_network_order(id) {
                    out.reverse();
                }
                Ok(())
            }
        }
    }

    fn put_array(
        &self,
        element: TypeId,
        literal: &Literal,
        out: &mut [u8],
    ) -> Result<(), EncodeError> {
        let size = self.size_of(element).unwrap_or(0).max(1) as usize;
        match literal {
            Literal::List(items) => {
                let len = out.len() / size;
                if items.len() > len {
                    return Err(at_top(format!("{} elements for {len}", items.len())));
                }
                for (i, (item, out)) in items.iter().zip(out.chunks_exact_mut(size)).enumerate() {
                    self.put(element, item, out)
                        .map_err(|e| e.within(&format!("[{i}]")))?;
                }
                Ok(())
            }
            Literal::Text(text) | Literal::Word(text) if size == 1 => {
                let character = is_char(self.resolve(element).1);
                match address(text, out.len()) {
                    Some(address) if !character => {
                        out.copy_from_slice(&address);
                        Ok(())
                    }
                    _ => put_text(text, out),
                }
            }
            // `char name[4] = 1234` without quotes.
            Literal::Number(n) if is_char(self.resolve(element).1) => {
                put_text(&format!("{n}"), out)
            }
            _ => Err(at_top("a list of elements expected, as [1, 2]".into())),
        }
    }

    fn put_members(
        &self,
        members: &[Member],
        literal: &Literal,
        out: &mut [u8],
    ) -> Result<(), EncodeError> {
        match literal {
            Literal::Fields(fields) => {
                for (name, value) in fields {
                    let put = self.put_field(members, name, value, out);
                    if !put.map_err(|e| e.within(&format!(".{name}")))? {
                        return Err(at_top(format!("no member `{name}`")));
                    }
                }
                Ok(())
            }
            Literal::List(items) if items.len() <= members.len() => {
                for (member, item) in members.iter().zip(items) {
                    let put = self.put_member(member, item, out);
                    put.map_err(|e| e.within(&format!(".{}", member.name)))?;
                }
                Ok(())
            }
            Literal::List(items) => Err(at_top(format!(
                "{} values for {} members",
                items.len(),
                members.len()
            ))),
            Literal::Word(text) | Literal::Text(text) if put_prefix(text, out) => Ok(()),
            // `struct in6_addr` and the like: an address by another name.
            Literal::Word(text) | Literal::Text(text)
                if let Some(address) = address(text, out.len()) =>
            {
                out.copy_from_slice(&address);
                Ok(())
            }
            // A struct around one thing is written as that thing.
            _ if let [only] = members => self.put_member(only, literal, out),
            _ => Err(at_top("members expected, as {name: 1}".into())),
        }
    }

    /// Writes the member of this name, also of an unnamed member; `false` if there is none.
    fn put_field(
        &self,
        members: &[Member],
        name: &str,
        value: &Literal,
        out: &mut [u8],
    ) -> Result<bool, EncodeError> {
        if let Some(member) = members.iter().find(|member| *member.name == *name) {
            self.put_member(member, value, out)?;
            return Ok(true);
        }
        // Search first: a hostile BTF could make trying every unnamed member endless.
        for member in members.iter().filter(|member| member.name.is_empty()) {
            if self.member(member.ty, name).is_none() {
                continue;
            }
            let inner = self.resolve(member.ty).1.kind.members().unwrap_or(&[]);
            let rest = out
                .get_mut((member.bit_offset / 8) as usize..)
                .unwrap_or_default();
            return self.put_field(inner, name, value, rest);
        }
        Ok(false)
    }

    fn put_member(
        &self,
        member: &Member,
        value: &Literal,
        out: &mut [u8],
    ) -> Result<(), EncodeError> {
        let start = (member.bit_offset / 8) as usize;
        let size = self.size_of(member.ty).unwrap_or(0) as usize;
        let rest = out.get_mut(start..).unwrap_or_default();
        if member.bits == 0 {
            let len = size.min(rest.len());
            return self.put(member.ty, value, &mut rest[..len]);
        }
        let (_, ty) = self.resolve(member.ty);
        let raw = number(ty, value, member.bits)?;
        let shift = member.bit_offset % 8;
        let mask = u128::MAX >> 128u32.saturating_sub(member.bits.into()).min(127);
        let (mask, raw) = (mask << shift, (raw & mask) << shift);
        for (i, byte) in rest.iter_mut().take(16).enumerate() {
            *byte = *byte & !((mask >> (i * 8)) as u8) | (raw >> (i * 8)) as u8;
        }
        Ok(())
    }
}

/// The bytes of a value of which only the size is known: a number in little-endian order, text, a
/// list of bytes, or an address as for [`Btf::encode`].
pub fn encode_untyped(size: usize, literal: &Literal) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = vec![0; size];
    match literal {
        Literal::Number(n) => {
            let raw = fit(*n, (size.min(16) * 8) as u32, *n < 0)?;
            let raw = if *n < 0 { *n as u128 } else { raw };
            let fill = if *n < 0 { 0xff } else { 0 };
            for (i, byte) in bytes.iter_mut().enumerate() {
                *byte = if i < 16 { (raw >> (i * 8)) as u8 } else { fill };
            }
        }
        Literal::Text(text) | Literal::Word(text) => match address(text, size) {
            Some(address) => bytes.copy_from_slice(&address),
            None if put_prefix(text, &mut bytes) => {}
            None => put_text(text, &mut bytes)?,
        },
        Literal::List(items) if items.len() <= size => {
            for (i, (item, byte)) in items.iter().zip(&mut bytes).enumerate() {
                *byte = match *item {
                    Literal::Number(n @ 0..=255) => n as u8,
                    _ => return Err(at_top("a byte expected".into()).within(&format!("[{i}]"))),
                };
            }
        }
        Literal::List(items) => return Err(at_top(format!("{} bytes for {size}", items.len()))),
        Literal::Fields(_) => {
            return Err(at_top("its type is not known, so it has no members".into()));
        }
    }
    Ok(bytes)
}

fn at_top(fault: String) -> EncodeError {
    EncodeError {
        path: Box::from(""),
        fault,
    }
}

impl EncodeError {
    fn within(self, outer: &str) -> EncodeError {
        EncodeError {
            path: format!("{outer}{}", self.path).into(),
            fault: self.fault,
        }
    }
}

fn put_text(text: &str, out: &mut [u8]) -> Result<(), EncodeError> {
    let text = text.as_bytes();
    match out.get_mut(..text.len()) {
        Some(start) => {
            start.copy_from_slice(text);
            Ok(())
        }
        None => Err(at_top(format!(
            "{} bytes of text for {}",
            text.len(),
            out.len()
        ))),
    }
}

fn put_scalar(ty: &Type, literal: &Literal, out: &mut [u8]) -> Result<(), EncodeError> {
    let bits = (out.len() * 8) as u32;
    let raw = match (&ty.kind, literal) {
        (Kind::Float { size: 4 }, literal) => f32::to_bits(float(literal)? as f32).into(),
        (Kind::Float { size: 8 }, literal) => f64::to_bits(float(literal)?).into(),
        (Kind::Int { .. }, Literal::Word(text) | Literal::Text(text)) => {
            if let Some(address) = address(text, out.len()) {
                out.copy_from_slice(&address);
                return Ok(());
            }
            number(ty, literal, bits as u8)?
        }
        (Kind::Int { bits, .. }, literal) => number(ty, literal, *bits)?,
        (_, literal) => number(ty, literal, bits as u8)?,
    };
    for (i, byte) in out.iter_mut().take(16).enumerate() {
        *byte = (raw >> (i * 8)) as u8;
    }
    Ok(())
}

fn float(literal: &Literal) -> Result<f64, EncodeError> {
    match literal {
        Literal::Number(n) => Ok(*n as f64),
        Literal::Word(word) => word
            .parse()
            .map_err(|_| at_top(format!("`{word}` is no number"))),
        _ => Err(at_top("a number expected".into())),
    }
}

/// The number that a literal means for an integer, enumeration or pointer of `bits` bits.
fn number(ty: &Type, literal: &Literal, bits: u8) -> Result<u128, EncodeError> {
    match (&ty.kind, literal) {
        (Kind::Enum { values, .. }, Literal::Word(name) | Literal::Text(name)) => {
            let value = values.iter().find(|value| *value.name == **name);
            let value = value.ok_or_else(|| at_top(format!("no enumerator `{name}`")))?;
            Ok(value.value as i128 as u128)
        }
        (Kind::Enum { signed, .. }, Literal::Number(n)) => fit(*n, bits.into(), *signed),
        (Kind::Int { encoding, .. }, Literal::Number(n)) => fit(*n, bits.into(), encoding.signed),
        (Kind::Int { .. }, Literal::Word(word)) if word == "true" => Ok(1),
        (Kind::Int { .. }, Literal::Word(word)) if word == "false" => Ok(0),
        (Kind::Int { size: 1, .. }, Literal::Text(text)) if text.len() == 1 => {
            Ok(text.as_bytes()[0].into())
        }
        (Kind::Ptr(_), Literal::Number(n)) => fit(*n, 64, false),
        (Kind::Int { .. } | Kind::Enum { .. } | Kind::Ptr(_), _) => {
            Err(at_top("a number expected".into()))
        }
        _ => Err(at_top(format!("a {} has no value", ty.kind.tag()))),
    }
}

/// Checks that a number fits `bits` bits. Signed integers take what fits them unsigned, too: `0xff`
/// is a byte.
fn fit(n: i128, bits: u32, signed: bool) -> Result<u128, EncodeError> {
    let bits = bits.min(128);
    let fits = match n {
        0 => true,
        1.. => bits == 128 || n as u128 >> bits == 0,
        _ => signed && bits > 0 && n >> (bits - 1) == -1,
    };
    match fits {
        true => Ok(n as u128),
        false => Err(at_top(format!(
            "{n} does not fit {} of {bits} bits",
            if signed {
                "a signed integer"
            } else {
                "an unsigned integer"
            }
        ))),
    }
}

/// An IPv4, IPv6 or MAC address of this many bytes.
fn address(text: &str, size: usize) -> Option<Vec<u8>> {
    match size {
        4 => text.parse::<Ipv4Addr>().ok().map(|a| a.octets().to_vec()),
        16 => match text.parse::<IpAddr>().ok()? {
            IpAddr::V4(v4) => Some(v4.to_ipv6_mapped().octets().to_vec()),
            IpAddr::V6(v6) => Some(v6.octets().to_vec()),
        },
        6 => {
            let bytes = text.split(':').map(|part| match part.len() {
                1 | 2 => u8::from_str_radix(part, 16).ok(),
                _ => None,
            });
            bytes
                .collect::<Option<Vec<u8>>>()
                .filter(|bytes| bytes.len() == 6)
        }
        _ => None,
    }
}

/// `ADDRESS/LENGTH` as the key of an LPM trie: the length in 32 bits, then the address.
fn put_prefix(text: &str, out: &mut [u8]) -> bool {
    let Some((text, length)) = text.split_once('/') else {
        return false;
    };
    let Some((head, rest)) = out.split_at_mut_checked(4) else {
        return false;
    };
    let (Some(address), Ok(length)) = (address(text, rest.len()), length.parse::<u32>()) else {
        return false;
    };
    if length as usize > rest.len() * 8 {
        return false;
    }
    head.copy_from_slice(&length.to_le_bytes());
    rest.copy_from_slice(&address);
    true
}
