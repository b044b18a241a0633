//! A key or value by its type, as the JSON that bpftool makes of it.

use panal_btf::{Btf, Encoding, EnumValue, Kind, Member, TypeId};

use super::json::Json;

/// Types within types are followed this far.
const DEPTH: u32 = 32;

/// The JSON of bytes of a type; `None` when the type has another size or cannot be shown.
pub fn format(btf: &Btf, ty: TypeId, bytes: &[u8]) -> Option<Json> {
    let size = btf.size_of(ty)? as usize;
    value(btf, ty, bytes.get(..size)?, DEPTH)
}

fn value(btf: &Btf, id: TypeId, bytes: &[u8], depth: u32) -> Option<Json> {
    let depth = depth.checked_sub(1)?;
    let ty = btf.resolve(id).1;
    match &ty.kind {
        Kind::Int { encoding, .. } => Some(integer(bytes, *encoding)),
        Kind::Ptr(_) => Some(Json::Unsigned(number(bytes) as u64)),
        Kind::Enum { values, signed, .. } => Some(enumerator(bytes, values, *signed)),
        Kind::Float { .. } => float(bytes),
        Kind::Array { element, len, .. } => array(btf, *element, *len, bytes, depth),
        Kind::Struct { members, .. } | Kind::Union { members, .. } => {
            structure(btf, members, bytes, depth)
        }
        Kind::DataSec { vars, .. } => {
            let variables = vars.iter().filter_map(|var| {
                let part = bytes.get(var.offset as usize..)?.get(..var.size as usize)?;
                let Kind::Var { ty, .. } = btf.kind(var.ty) else {
                    return None;
                };
                let name = btf.name(var.ty).to_owned();
                Some(Json::Object(vec![(name, value(btf, *ty, part, depth)?)]))
            });
            let list = Json::List(variables.collect());
            Some(Json::Object(vec![(ty.name.to_string(), list)]))
        }
        _ => None,
    }
}

/// Up to sixteen bytes in host order.
fn number(bytes: &[u8]) -> u128 {
    let mut wide = [0; 16];
    let n = bytes.len().min(16);
    let at = if cfg!(target_endian = "big") {
        16 - n
    } else {
        0
    };
    wide[at..at + n].copy_from_slice(&bytes[..n]);
    u128::from_ne_bytes(wide)
}

fn signed(bytes: &[u8]) -> i64 {
    let bits = bytes.len().min(8) as u32 * 8;
    let shift = 64u32.saturating_sub(bits).min(63);
    (number(bytes) as i64) << shift >> shift
}

fn integer(bytes: &[u8], encoding: Encoding) -> Json {
    if bytes.len() > 8 {
        Json::Text(format!("{:#x}", number(bytes)))
    } else if encoding.bool {
        Json::Bool(number(bytes) != 0)
    } else if encoding.char {
        let byte = number(bytes) as u8;
        match byte.is_ascii_graphic() || byte == b' ' {
            true => Json::Text((byte as char).to_string()),
            false => Json::Text(format!("\\x{byte:02x}")),
        }
    } else if encoding.signed {
        Json::Signed(signed(bytes))
    } else {
        Json::Unsigned(number(bytes) as u64)
    }
}

fn enumerator(bytes: &[u8], values: &[EnumValue], is_signed: bool) -> Json {
    let own = match is_signed {
        true => signed(bytes),
        false => number(bytes) as i64,
    };
    let known = values.iter().find(|known| known.value == own);
    match known {
        Some(known) => Json::Text(known.name.to_string()),
        None if is_signed => Json::Signed(own),
        None => Json::Unsigned(number(bytes) as u64),
    }
}

fn float(bytes: &[u8]) -> Option<Json> {
    match bytes.len() {
        4 => Some(Json::Float(
            f32::from_ne_bytes(bytes.try_into().ok()?).into(),
        )),
        8 => Some(Json::Float(f64::from_ne_bytes(bytes.try_into().ok()?))),
        _ => Some(super::json::bytes(bytes)),
    }
}

fn array(btf: &Btf, element: TypeId, len: u32, bytes: &[u8], depth: u32) -> Option<Json> {
    let size = btf.size_of(element)? as usize;
    if size == 0 {
        return Some(Json::List(Vec::new()));
    }
    let is_char = |id| matches!(&btf.resolve(id).1.kind, Kind::Int { size: 1, .. } if &*btf.resolve(id).1.name == "char");
    if is_char(element)
        && let Some(text) = text(bytes)
    {
        return Some(Json::Text(text));
    }
    let parts = bytes.chunks_exact(size).take(len as usize);
    let items: Option<Vec<Json>> = parts.map(|part| value(btf, element, part, depth)).collect();
    items.map(Json::List)
}

/// Printable characters up to a zero.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let text = &bytes[..end];
    let printable = text.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    printable.then(|| text.iter().map(|b| *b as char).collect())
}

fn structure(btf: &Btf, members: &[Member], bytes: &[u8], depth: u32) -> Option<Json> {
    let mut out = Vec::with_capacity(members.len());
    for member in members {
        let shown = if member.bits > 0 {
            bitfield(bytes, member)
        } else {
            let start = (member.bit_offset / 8) as usize;
            let size = btf.size_of(member.ty)? as usize;
            let part = bytes.get(start..)?.get(..size)?;
            value(btf, member.ty, part, depth)?
        };
        out.push((member.name.to_string(), shown));
    }
    Some(Json::Object(out))
}

/// `"0x5"`, as bpftool shows bits that are no whole integer.
fn bitfield(bytes: &[u8], member: &Member) -> Json {
    let (first, bits) = (member.bit_offset as usize, u32::from(member.bits));
    let start = first / 8;
    let end = (first + bits as usize).div_ceil(8).min(bytes.len());
    let window = number(bytes.get(start..end).unwrap_or(&[]));
    let mask = (1u128 << bits.min(127)) - 1;
    Json::Text(format!("{:#x}", window >> (first % 8) & mask))
}
