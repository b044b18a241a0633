//! Bytes to a [`Value`].

use alloc::{string::String, sync::Arc, vec::Vec};

use super::{CHAR, Value};
use crate::{
    table::Btf,
    types::{Kind, Member, Type, TypeId},
};

/// Why bytes are no value of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the type has.
    #[error("type {id} has {need} bytes, there are {have}")]
    Short {
        /// The type.
        id: TypeId,
        /// Its size in bytes.
        need: u32,
        /// Bytes that there are.
        have: usize,
    },
    /// A type nested or repeated so that its value would fill the memory.
    #[error("type {id} has more than a million values within it")]
    TooLarge {
        /// The type.
        id: TypeId,
    },
}

/// Values within one value.
const MAX_VALUES: u32 = 1 << 20;

impl Btf {
    /// Reads a value of a type; numbers called `__be16` and the like are in network byte order.
    /// Bytes beyond its size fill the flexible array at its end, if it has one, and are ignored
    /// otherwise.
    pub fn decode(&self, id: TypeId, bytes: &[u8]) -> Result<Value, DecodeError> {
        let need = self.size_of(id).unwrap_or(0);
        if bytes.len() < need as usize {
            return Err(DecodeError::Short {
                id,
                need,
                have: bytes.len(),
            });
        }
        let mut decoder = Decoder {
            btf: self,
            left: MAX_VALUES,
        };
        decoder
            .value(id, bytes, true)
            .ok_or(DecodeError::TooLarge { id })
    }
}

struct Decoder<'a> {
    btf: &'a Btf,
    /// How many values may still be made.
    left: u32,
}

impl Decoder<'_> {
    /// `bytes` are at least as many as the type's; `last` if nothing follows, so that a flexible
    /// array may take the rest. `None` when there are too many values.
    fn value(&mut self, id: TypeId, bytes: &[u8], last: bool) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        let swapped = self.btf.is_network_order(id);
        let (id, ty) = self.btf.resolve(id);
        Some(match &ty.kind {
            Kind::Array { element, len, .. } => self.array(*element, *len, bytes, last)?,
            Kind::Struct { members, .. } | Kind::Union { members, .. } => {
                let mut values = Vec::with_capacity(members.len());
                let flexible = last && matches!(ty.kind, Kind::Struct { .. });
                self.members(members, bytes, flexible, &mut values)?;
                Value::Struct(values)
            }
            Kind::Var { ty, .. } => self.value(*ty, bytes, last)?,
            Kind::DataSec { vars, .. } => {
                let mut values = Vec::with_capacity(vars.len());
                for var in vars {
                    let bytes = bytes.get(var.offset as usize..).unwrap_or(&[]);
                    let size = self.btf.size_of(var.ty).unwrap_or(0);
                    if bytes.len() >= size as usize {
                        let name = self.btf.get_or_void(var.ty).name.clone();
                        values.push((name, self.value(var.ty, bytes, false)?));
                    }
                }
                Value::Struct(values)
            }
            _ => {
                let size = self.btf.size_of(id).unwrap_or(0) as usize;
                let bytes = bytes.get(..size).unwrap_or(bytes);
                if swapped {
                    let swapped: Vec<u8> = bytes.iter().rev().copied().collect();
                    return Some(scalar(ty, little_endian(&swapped)));
                }
                scalar(ty, little_endian(bytes))
            }
        })
    }

    fn array(&mut self, element: TypeId, len: u32, bytes: &[u8], last: bool) -> Option<Value> {
        let size = self.btf.size_of(element).unwrap_or(0) as usize;
        if size == 0 {
            return Some(Value::Array(Vec::new()));
        }
        let count = match len {
            0 if last => bytes.len() / size,
            0 => 0,
            len => len as usize,
        };
        let bytes = bytes.get(..count.checked_mul(size)?).unwrap_or(bytes);
        if is_char(self.btf.resolve(element).1) {
            let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
            return Some(Value::Text(
                String::from_utf8_lossy(&bytes[..end]).into_owned(),
            ));
        }
        let mut values = Vec::with_capacity(count.min(self.left as usize));
        for bytes in bytes.chunks_exact(size) {
            values.push(self.value(element, bytes, false)?);
        }
        Some(Value::Array(values))
    }

    fn members(
        &mut self,
        members: &[Member],
        bytes: &[u8],
        flexible: bool,
        values: &mut Vec<(Arc<str>, Value)>,
    ) -> Option<()> {
        for (index, member) in members.iter().enumerate() {
            let start = (member.bit_offset / 8) as usize;
            let rest = bytes.get(start..).unwrap_or(&[]);
            let ty = self.btf.resolve(member.ty).1;
            if let (true, Some(inner)) = (member.name.is_empty(), ty.kind.members()) {
                self.left = self.left.checked_sub(1)?;
                self.members(inner, rest, false, values)?;
                continue;
            }
            let value = if member.bits != 0 || !member.bit_offset.is_multiple_of(8) {
                self.left = self.left.checked_sub(1)?;
                bitfield(ty, rest, member)
            } else {
                // The type as declared: its name may say in which order its bytes are.
                self.value(member.ty, rest, flexible && index + 1 == members.len())?
            };
            values.push((member.name.clone(), value));
        }
        Some(())
    }
}

pub(super) fn is_char(ty: &Type) -> bool {
    match ty.kind {
        Kind::Int {
            size: 1, encoding, ..
        } => encoding.char || *ty.name == *CHAR,
        _ => false,
    }
}

/// Up to 16 bytes as a number.
fn little_endian(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .take(16)
        .rev()
        .fold(0, |n, &b| n << 8 | u128::from(b))
}

/// A bitfield: `bytes` begin with the byte of its first bit. One without a width is of an integer
/// that has fewer bits than its bytes, as compilers wrote it before `kind_flag`.
fn bitfield(ty: &Type, bytes: &[u8], member: &Member) -> Value {
    let shifted = little_endian(bytes) >> (member.bit_offset % 8);
    match (&ty.kind, member.bits) {
        (_, 0) => scalar(ty, shifted),
        (Kind::Int { encoding, .. }, bits) => integer(shifted, bits, encoding.signed),
        (Kind::Enum { signed, .. }, bits) => match integer(shifted, bits, *signed) {
            Value::Signed(value) => enumerator(ty, value),
            Value::Unsigned(value) => enumerator(ty, value as i128),
            other => other,
        },
        (_, bits) => integer(shifted, bits, false),
    }
}

/// The low `bits` of a number.
fn integer(raw: u128, bits: u8, signed: bool) -> Value {
    let unused = 128u32.saturating_sub(bits.into());
    match (unused, signed) {
        (128.., _) => Value::Unsigned(0),
        (_, true) => Value::Signed(((raw << unused) as i128) >> unused),
        (_, false) => Value::Unsigned((raw << unused) >> unused),
    }
}

fn scalar(ty: &Type, raw: u128) -> Value {
    match ty.kind {
        Kind::Int {
            bits,
            offset,
            encoding,
            ..
        } => {
            let raw = raw.checked_shr(offset.into()).unwrap_or(0);
            match integer(raw, bits, encoding.signed) {
                Value::Unsigned(n @ 0..=1) if encoding.bool => Value::Bool(n == 1),
                value => value,
            }
        }
        Kind::Ptr(_) => Value::Pointer(raw as u64),
        Kind::Enum { size, signed, .. } => match integer(raw, (size * 8) as u8, signed) {
            Value::Signed(value) => enumerator(ty, value),
            _ => enumerator(ty, integer_bits(raw, size)),
        },
        Kind::Float { size: 4 } => Value::Float(f32::from_bits(raw as u32).into()),
        Kind::Float { size: 8 } => Value::Float(f64::from_bits(raw as u64)),
        Kind::Float { .. } => Value::Unsigned(raw),
        _ => Value::Void,
    }
}

fn integer_bits(raw: u128, size: u32) -> i128 {
    match integer(raw, (size * 8) as u8, false) {
        Value::Unsigned(n) => n as i128,
        _ => 0,
    }
}

fn enumerator(ty: &Type, value: i128) -> Value {
    let name = match &ty.kind {
        Kind::Enum { signed, values, .. } => values
            .iter()
            .find(|v| match signed {
                true => i128::from(v.value) == value,
                false => i128::from(v.value as u64) == value,
            })
            .map(|v| v.name.clone()),
        _ => None,
    };
    Value::Enum { name, value }
}
